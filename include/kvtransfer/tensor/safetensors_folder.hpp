#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/git_lfs.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "kvtransfer/tensor/safetensors.hpp"

namespace kvtransfer::detail {

/// Which shard, a file name in the index's own folder, holds which tensor.
using safetensors_index = std::map<std::string, std::string, std::less<>>;

/// A plain file name: not a path, which could leave the folder.
[[nodiscard]] inline bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find_first_of(std::string_view("/\\\0", 3)) == name.npos;
}

/// Reads the text of a `model.safetensors.index.json`.
/// @param file named in errors
/// @throws file_error for bad JSON, a missing map, or a shard that is not a file name in the same folder
[[nodiscard]] inline safetensors_index parse_safetensors_index(std::string_view text, std::string_view file) {
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

/// The tensors of a model's folder: one `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
class safetensors_folder {
 public:
  /// Maps every file and checks headers and index against each other. @throws file_error
  /// Source: transformers prefers the single file where a folder has both.
  [[nodiscard]] static safetensors_folder open(const std::filesystem::path& folder) {
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

  /// The folder, as given to `open`.
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Whether there is a tensor of that name in any of its files.
  [[nodiscard]] bool contains(std::string_view name) const { return files_.find(name) != files_.end(); }

  /// All tensors' names, sorted.
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names;
    for (const auto& [name, file] : files_) {
      names.push_back(name);
    }
    return names;
  }

  /// The file that holds a tensor. @throws file_error if there is none of that name
  [[nodiscard]] const safetensors_file& file_of(std::string_view name) const {
    const auto found = files_.find(name);
    if (found == files_.end()) {
      fail<file_error>(path_.string(), "tensor", excerpt(name), fmt::format("{} other tensors", files_.size()));
    }
    return found->second;
  }

  /// As `safetensors_file::tensor`. @throws file_error
  [[nodiscard]] at::Tensor tensor(std::string_view name) const { return file_of(name).tensor(name); }

 private:
  explicit safetensors_folder(std::filesystem::path path) : path_(std::move(path)) {}

  void add_single(const safetensors_file& file) {
    for (const std::string& name : file.names()) {
      files_.emplace(name, file);
    }
  }

  void add_shards(const detail::safetensors_index& index, const std::filesystem::path& index_path) {
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

  std::filesystem::path path_;
  std::map<std::string, safetensors_file, std::less<>> files_;
};

}  // namespace kvtransfer
