#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/excerpt.hpp"
#include "kvtransfer/core/git_lfs.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/tensor/safetensors.hpp"
#include "kvtransfer/tensor/safetensors_folder.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

KVTRANSFER_INLINE safetensors_index parse_safetensors_index(std::string_view text, std::string_view file) {
  refuse_git_lfs_pointer(text, file);
  const nlohmann::json content = parse_json(text, file);
  require<file_error>(content.is_object() && content.contains("weight_map") && content["weight_map"].is_object(), file,
                      "weight_map", "an object that names a shard for every tensor", "none");
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

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE safetensors_folder safetensors_folder::open(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    fail<file_error>(folder.string(), "folder", "an existing folder", "none");
  }
  const auto single = folder / "model.safetensors";
  const auto index = folder / "model.safetensors.index.json";
  safetensors_folder opened(folder);
  if (std::filesystem::exists(single, ignored)) {
    opened.add_single(safetensors_file::open(single));
  } else if (std::filesystem::exists(index, ignored)) {
    opened.add_shards(detail::parse_safetensors_index(read_text(index), index.string()), index);
  } else {
    fail<file_error>(folder.string(), "weights", "model.safetensors or model.safetensors.index.json", "neither");
  }
  return opened;
}

KVTRANSFER_INLINE std::vector<std::string> safetensors_folder::names() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : files_) {
    names.push_back(name);
  }
  return names;
}

KVTRANSFER_INLINE const safetensors_file& safetensors_folder::file_of(std::string_view name) const {
  const auto found = files_.find(name);
  if (found == files_.end()) {
    fail<file_error>(path_.string(), "tensor", excerpt(name), fmt::format("{} other tensors", files_.size()));
  }
  return found->second;
}

KVTRANSFER_INLINE void safetensors_folder::add_single(const safetensors_file& file) {
  for (const std::string& name : file.names()) {
    files_.emplace(name, file);
  }
}

KVTRANSFER_INLINE void safetensors_folder::add_shards(const detail::safetensors_index& index,
                                                      const std::filesystem::path& index_path) {
  std::map<std::string, safetensors_file> shards;
  for (const auto& [name, shard] : index) {
    auto opened = shards.find(shard);
    if (opened == shards.end()) {
      opened = shards.emplace(shard, safetensors_file::open(path_ / shard)).first;
    }
    if (!opened->second.contains(name)) {
      fail<file_error>(index_path.string(), fmt::format("weight_map: {}", excerpt(name)),
                       "a shard that holds the tensor", excerpt(shard));
    }
    files_.emplace(name, opened->second);
  }
}

}  // namespace kvtransfer
