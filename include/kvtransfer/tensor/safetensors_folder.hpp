#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/tensor/safetensors.hpp"

namespace kvtransfer::detail {

/// Which shard, a file name in the index's own folder, holds which tensor.
using safetensors_index = std::map<std::string, std::string, std::less<>>;

/// A plain file name: not a path, which could leave the folder.
[[nodiscard]] bool is_plain_file_name(std::string_view name);

/// Reads the text of a `model.safetensors.index.json`.
/// @param file named in errors
/// @throws file_error for bad JSON, a missing map, or a shard that is not a file name in the same folder
[[nodiscard]] safetensors_index parse_safetensors_index(std::string_view text, std::string_view file);

}  // namespace kvtransfer::detail

namespace kvtransfer {

/// The tensors of a model's folder: one `model.safetensors`, or the shards that `model.safetensors.index.json` lists.
class safetensors_folder {
 public:
  /// Maps every file and checks headers and index against each other. @throws file_error
  /// Source: transformers prefers the single file where a folder has both.
  [[nodiscard]] static safetensors_folder open(const std::filesystem::path& folder);

  /// The folder, as given to `open`.
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// Whether there is a tensor of that name in any of its files.
  [[nodiscard]] bool contains(std::string_view name) const { return files_.find(name) != files_.end(); }

  /// All tensors' names, sorted.
  [[nodiscard]] std::vector<std::string> names() const;

  /// The file that holds a tensor. @throws file_error if there is none of that name
  [[nodiscard]] const safetensors_file& file_of(std::string_view name) const;

  /// As `safetensors_file::tensor`. @throws file_error
  [[nodiscard]] at::Tensor tensor(std::string_view name) const { return file_of(name).tensor(name); }

 private:
  explicit safetensors_folder(std::filesystem::path path) : path_(std::move(path)) {}

  void add_single(const safetensors_file& file);

  void add_shards(const detail::safetensors_index& index, const std::filesystem::path& index_path);

  std::filesystem::path path_;
  std::map<std::string, safetensors_file, std::less<>> files_;
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/detail/safetensors_folder.ipp"  // IWYU pragma: export
#endif
