#pragma once

#include <map>
#include <string>
#include <string_view>
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

const std::string& shown(const model_identity::values& values, const std::string& key);

void add_differences(std::string_view field, const model_identity::values& expected, const model_identity::values& got,
                     std::vector<identity_difference>& differences);

}  // namespace detail

/// Every field in which `got` is known to differ from `expected`. What only one side knows of quantization, adapter
/// or tokenizer is no difference.
std::vector<identity_difference> differences(const model_identity& expected, const model_identity& got);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/model_identity.ipp"  // IWYU pragma: export
#endif
