#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/json_file.hpp"

namespace kvtransfer {

/// Which shard, a file name in the index's own folder, holds which tensor.
using safetensors_index = std::map<std::string, std::string, std::less<>>;

/// A plain file name: not a path, which could leave the folder.
inline bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

/// Reads the text of a `model.safetensors.index.json`.
/// @param file named in errors
/// @throws file_error for bad JSON, a missing map, or a shard that is not a file name in the same folder
inline safetensors_index parse_safetensors_index(std::string_view text, std::string_view file) {
  const nlohmann::json content = parse_json(text, file);
  if (!content.is_object() || !content.contains("weight_map") || !content["weight_map"].is_object()) {
    fail<file_error>(file, "weight_map", "an object that names a shard for every tensor", "none");
  }
  safetensors_index index;
  for (const auto& [tensor, shard] : content["weight_map"].items()) {
    if (!shard.is_string() || !is_plain_file_name(shard.get_ref<const std::string&>())) {
      fail<file_error>(file, fmt::format("weight_map: {}", excerpt(tensor)), "a file name in the index's folder",
                       excerpt(shard));
    }
    index.emplace(tensor, shard.get_ref<const std::string&>());
  }
  return index;
}

}  // namespace kvtransfer
