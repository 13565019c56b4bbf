#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_origin.hpp"
#include "kvtransfer/cache/model_identity.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE const model_identity& cache_origin::model() const {
  static const model_identity nobody;
  return model_ == nullptr ? nobody : *model_;
}

KVTRANSFER_INLINE bool cache_origin::is_of_same_model(const cache_origin& other) const {
  return model_ == other.model_ || differences(model(), other.model()).empty();
}

KVTRANSFER_INLINE cache_origin cache_origin::joined_with(const cache_origin& other) const {
  if (!is_of_same_model(other)) {
    return {};
  }
  cache_origin both = *this;
  both.basis_ = basis_ < other.basis_ ? other.basis_ : basis_;
  return both;
}

}  // namespace kvtransfer

namespace kvtransfer::detail {

KVTRANSFER_INLINE std::pair<std::string, std::string> both_sides(const std::vector<identity_difference>& differences) {
  std::vector<std::string> expected;
  std::vector<std::string> got;
  for (const identity_difference& each : differences) {
    expected.push_back(fmt::format("{} {}", each.field, each.expected));
    got.push_back(fmt::format("{} {}", each.field, each.got));
  }
  return {fmt::format("{}", fmt::join(expected, ", ")), fmt::format("{}", fmt::join(got, ", "))};
}

KVTRANSFER_INLINE void require_same_model(const cache_origin& first, const cache_origin& second, std::string_view where,
                                          std::string_view what) {
  if (!first.is_of_same_model(second)) {
    const auto [one, other] = both_sides(differences(first.model(), second.model()));
    fail<frame_error>(where, what, one, other);
  }
}

KVTRANSFER_INLINE void require_origin(const cache_origin& origin, const model_identity& model, std::string_view where) {
  if (!origin.is_known()) {
    fail<frame_error>(where, "model", fmt::format("a cache of {} (or say assume_unknown_origin)", model.digest),
                      "one of unknown origin");
  }
  const std::vector<identity_difference> found = differences(model, origin.model());
  if (!found.empty()) {
    const auto [expected, got] = both_sides(found);
    const bool only_weights = found.size() == 1 && found.front().field == "digest";
    fail<frame_error>(
        where, "model",
        only_weights ? expected + " (or say assume_same_weights, if they are stored in another way)" : expected, got);
  }
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE cache_origin assume_unknown_origin(const cache_origin& origin, const model_identity& model) {
  require<frame_error>(!origin.is_known(), "assume_unknown_origin", "model", "a cache of unknown origin",
                       [&] { return origin.model().digest.text(); });
  return {std::make_shared<const model_identity>(model), origin_basis::unknown_origin};
}

KVTRANSFER_INLINE cache_origin assume_same_weights(const cache_origin& origin, const model_identity& model) {
  constexpr std::string_view where = "assume_same_weights";
  require<frame_error>(origin.is_known(), where, "model", "a cache of known origin", "one of unknown origin");
  std::vector<identity_difference> found = differences(model, origin.model());
  std::erase_if(found, [](const identity_difference& each) {
    return each.field == "digest" || each.field == "quantization" || each.field.starts_with("rotary.") ||
           (each.field.starts_with("configuration.") && (each.expected == "nothing" || each.got == "nothing"));
  });
  if (!found.empty()) {
    const auto [expected, got] = detail::both_sides(found);
    fail<frame_error>(where, "model", expected, got);
  }
  return {std::make_shared<const model_identity>(model), origin_basis::same_weights};
}

}  // namespace kvtransfer
