#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/model_digest.hpp"
#include "kvtransfer/cache/model_identity.hpp"
#include "kvtransfer/core/compiled.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE const std::string& shown(const model_identity::values& values, const std::string& key) {
  static const std::string nothing = "nothing";
  const auto found = values.find(key);
  return found == values.end() ? nothing : found->second;
}

KVTRANSFER_INLINE void add_differences(std::string_view field, const model_identity::values& expected,
                                       const model_identity::values& got,
                                       std::vector<identity_difference>& differences) {
  if (expected == got) {
    return;
  }
  model_identity::values all = expected;
  all.insert(got.begin(), got.end());
  for (const auto& [key, value] : all) {
    if (shown(expected, key) != shown(got, key)) {
      differences.push_back({fmt::format("{}.{}", field, key), shown(expected, key), shown(got, key)});
    }
  }
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE std::vector<identity_difference> differences(const model_identity& expected,
                                                               const model_identity& got) {
  std::vector<identity_difference> found;
  if (expected.digest != got.digest) {
    const auto named = [](const model_digest& digest) { return digest.empty() ? "unknown" : digest.text(); };
    found.push_back({"digest", named(expected.digest), named(got.digest)});
  }
  detail::add_differences("configuration", expected.configuration, got.configuration, found);
  detail::add_differences("rotary", expected.rotary, got.rotary, found);
  for (const auto& [name, field] : {std::pair{"quantization", &model_identity::quantization},
                                    {"adapter", &model_identity::adapter},
                                    {"tokenizer", &model_identity::tokenizer}}) {
    if (!(expected.*field).empty() && !(got.*field).empty() && expected.*field != got.*field) {
      found.push_back({name, expected.*field, got.*field});
    }
  }
  return found;
}

}  // namespace kvtransfer
