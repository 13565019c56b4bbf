#pragma once

#include <string>

#include "kvtransfer/cache/model_identity.hpp"
#include "kvtransfer/model/config.hpp"

namespace kvtransfer::detail {

/// What a configuration says that may change a number: every key of the file but those that are known to change none,
/// with what a missing key means where this library knows it. Rotary parameters are left to `rotary_of`.
[[nodiscard]] model_identity::values configuration_of(const model_config& config);

/// Every layer's rotary embedding by value. Where layers differ, `layers` says which one each has, and keys begin with
/// its number.
[[nodiscard]] model_identity::values rotary_of(const model_config& config);

/// The identity of a model that was loaded as its files have it.
/// @param digest of the weights
/// @param tokenizer its digest; empty where it is not known
[[nodiscard]] model_identity identity_of(const model_config& config, model_digest digest, std::string tokenizer = {});

}  // namespace kvtransfer::detail
