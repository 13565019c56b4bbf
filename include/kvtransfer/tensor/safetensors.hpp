#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/mapped_file.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer {

/// A safetensors file in memory: opening reads the header alone, a tensor's bytes are read as they are touched.
///
/// Cheap to copy. The tensors keep the mapping alive, so the object may go before them; writing to one changes this
/// process's copy, never the file.
class safetensors_file {
 public:
  /// Maps the file and checks its header. @throws file_error
  [[nodiscard]] static safetensors_file open(const std::filesystem::path& path);

  /// The same, for a file that is mapped and whose header is read.
  safetensors_file(std::shared_ptr<const mapped_file> mapping, safetensors_header header)
      : mapping_(std::move(mapping)), header_(std::make_shared<const safetensors_header>(std::move(header))) {}

  /// As given to `open`.
  [[nodiscard]] const std::filesystem::path& path() const { return mapping_->path(); }
  /// What the file says before its data, checked.
  [[nodiscard]] const safetensors_header& header() const { return *header_; }
  /// Whether there is a tensor of that name.
  [[nodiscard]] bool contains(std::string_view name) const { return header_->tensors.contains(name); }

  /// All tensors' names, sorted.
  [[nodiscard]] std::vector<std::string> names() const;

  /// Shape, type and place of a tensor. @throws file_error if there is none of that name
  [[nodiscard]] const safetensors_entry& entry(std::string_view name) const;

  /// The file that is mapped.
  [[nodiscard]] const std::shared_ptr<const mapped_file>& mapping() const { return mapping_; }
  /// The bytes of the whole file, mapped.
  [[nodiscard]] std::span<std::byte> bytes() const { return mapping_->bytes(); }

  /// The mapped bytes of a tensor. @throws file_error if there is none of that name
  [[nodiscard]] std::span<std::byte> bytes(std::string_view name) const;

  /// A tensor over the mapped bytes, on the CPU; a copy only where the file puts it off its natural alignment.
  /// @throws file_error if there is none of that name
  [[nodiscard]] at::Tensor tensor(std::string_view name) const;

 private:
  std::shared_ptr<const mapped_file> mapping_;
  std::shared_ptr<const safetensors_header> header_;
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/detail/safetensors.ipp"  // IWYU pragma: export
#endif
