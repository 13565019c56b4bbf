#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "kvtransfer/model/config.hpp"

namespace kvtransfer {

/// Reads the content of a `config.json`.
/// @param file named in errors
/// @throws file_error naming the key: a size missing, a value out of range, an architecture that computes otherwise
/// Source: transformers 5 for the values of missing keys; the five sizes that describe a model it may not leave out.
[[nodiscard]] model_config model_config_from_json(const nlohmann::json& json, const std::string& file = "config");

}  // namespace kvtransfer
