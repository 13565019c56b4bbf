#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/model_identity.hpp"

namespace kvtransfer {

/// Why a cache is taken for one of its model.
enum class origin_basis : std::uint8_t {
  recorded,        ///< it says so itself
  same_weights,    ///< a model with another digest wrote it, which somebody says has the same weights
  unknown_origin,  ///< it does not say, somebody else does
};

/// `recorded`, `same_weights` or `unknown_origin`, as results say it.
constexpr std::string_view to_string(origin_basis basis) {
  constexpr std::string_view names[] = {"recorded", "same_weights", "unknown_origin"};
  return names[static_cast<std::size_t>(basis)];
}

/// The basis of that name; nothing where there is none.
constexpr std::optional<origin_basis> origin_basis_named(std::string_view name) {
  for (const origin_basis basis : {origin_basis::recorded, origin_basis::same_weights, origin_basis::unknown_origin}) {
    if (name == to_string(basis)) {
      return basis;
    }
  }
  return std::nullopt;
}

/// Which model a cache is taken for one of, and why. Cheap to copy.
class cache_origin {
 public:
  /// Nobody knows.
  cache_origin() = default;
  /// A model's own cache.
  cache_origin(model_identity model) : model_(std::make_shared<const model_identity>(std::move(model))) {}
  /// The same without a copy. @param model never null
  cache_origin(std::shared_ptr<const model_identity> model, origin_basis basis = origin_basis::recorded)
      : model_(std::move(model)), basis_(basis) {}

  /// Whether it is taken for any model's.
  [[nodiscard]] bool is_known() const { return model_ != nullptr && model_->is_known(); }
  /// That model; an empty identity where nobody knows.
  [[nodiscard]] const model_identity& model() const;
  /// Why it is taken for that model's.
  [[nodiscard]] origin_basis basis() const { return basis_; }

  /// Whether both are taken for one model's, or nobody knows of either.
  [[nodiscard]] bool is_of_same_model(const cache_origin& other) const;

  /// That of two caches as one: their model where they have one in common, and the weaker of their reasons.
  [[nodiscard]] cache_origin joined_with(const cache_origin& other) const;

  friend bool operator==(const cache_origin& a, const cache_origin& b) {
    return a.basis_ == b.basis_ && (a.model_ == b.model_ || a.model() == b.model());
  }

 private:
  std::shared_ptr<const model_identity> model_;  // null where nobody knows
  origin_basis basis_ = origin_basis::recorded;
};

namespace detail {

/// @param expected, got for a list of differences: one text each
std::pair<std::string, std::string> both_sides(const std::vector<identity_difference>& differences);

/// @throws frame_error, naming every field that differs, unless one model wrote both caches, or neither's is known
void require_same_model(const cache_origin& first, const cache_origin& second, std::string_view where,
                        std::string_view what);

/// @param where file or operation that complains
/// @throws frame_error, naming every field that differs, unless a cache of `origin` may be read by `model`
void require_origin(const cache_origin& origin, const model_identity& model, std::string_view where);

}  // namespace detail

/// The origin of a cache that says nothing of it, taken for one of `model`'s.
/// @throws frame_error where the origin is known
cache_origin assume_unknown_origin(const cache_origin& origin, const model_identity& model);

/// The origin of a cache that was written by `model` stored in another way: in other types, or quantized. Tokenizer and
/// adapter must be the same, and so must values of the configuration that both tell of. Rotary parameters may differ:
/// the frame says how keys are rotated, and a model refuses those that are not rotated as its own.
/// @throws frame_error where the origin is unknown, or one of these differs
cache_origin assume_same_weights(const cache_origin& origin, const model_identity& model);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/cache_origin.ipp"  // IWYU pragma: export
#endif
