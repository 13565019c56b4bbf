#pragma once

#include <fmt/format.h>

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/model_digest.hpp"

namespace kvtransfer {

/// Which model wrote a cache's keys and values: everything that could change a number in them, each in a field of its
/// own.
///
/// An empty `digest` says that nobody knows. `quantization`, `adapter` and `tokenizer` may each be unknown for itself.
struct model_identity {
  /// Values by dotted key, as text: `rms_norm_eps` → `1e-06`.
  using values = std::map<std::string, std::string, std::less<>>;

  model_digest digest = {};       ///< XXH3-128 of every tensor that the model's files store, 32 hexadecimal digits
  std::string quantization = {};  ///< what was done to the weights while they were loaded: `none`, `nf4`
  std::string adapter = {};       ///< `none`, or the digest of an adapter's tensors
  std::string tokenizer = {};     ///< XXH3-128 of what decides on token ids, 32 hexadecimal digits
  values configuration = {};      ///< what of the configuration may change a number, its rotary part left out
  values rotary = {};             ///< every layer's rotary type with its parameters

  /// Whether anybody knows which model it is.
  [[nodiscard]] bool is_known() const { return !digest.empty(); }

  friend bool operator==(const model_identity&, const model_identity&) = default;
};

/// One field in which a model is not the one expected.
struct identity_difference {
  std::string field;     ///< `digest`, `configuration.rms_norm_eps`
  std::string expected;  ///< the value that it should have, `nothing` where there should be none
  std::string got;       ///< the value found
};

namespace detail {

inline const std::string& shown(const model_identity::values& values, const std::string& key) {
  static const std::string nothing = "nothing";
  const auto found = values.find(key);
  return found == values.end() ? nothing : found->second;
}

inline void add_differences(std::string_view field, const model_identity::values& expected,
                            const model_identity::values& got, std::vector<identity_difference>& differences) {
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

}  // namespace detail

/// Every field in which `got` is known to differ from `expected`. What only one side knows of quantization, adapter
/// or tokenizer is no difference.
inline std::vector<identity_difference> differences(const model_identity& expected, const model_identity& got) {
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
