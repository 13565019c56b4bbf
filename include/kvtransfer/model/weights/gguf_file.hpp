#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/mapped_file.hpp"
#include "kvtransfer/model/weights/gguf_header.hpp"

namespace kvtransfer {

/// A GGUF file in memory: opening reads the header alone, a tensor's bytes are read as they are touched.
///
/// Cheap to copy; every copy keeps the mapping alive, and what points into the file needs one of them.
class gguf_file {
 public:
  /// Maps the file and checks its header. @throws file_error
  [[nodiscard]] static gguf_file open(const std::filesystem::path& path);

  /// As given to `open`.
  [[nodiscard]] const std::filesystem::path& path() const { return mapping_->path(); }
  /// The file that is mapped.
  [[nodiscard]] const std::shared_ptr<const mapped_file>& mapping() const { return mapping_; }
  /// What the file says before its data, checked.
  [[nodiscard]] const gguf_header& header() const { return *header_; }
  /// The header's keys and values.
  [[nodiscard]] const gguf_metadata& metadata() const { return header_->metadata; }
  /// Whether there is a tensor of that name.
  [[nodiscard]] bool contains(std::string_view tensor) const { return header_->tensors.contains(tensor); }

  /// Type, shape and place of a tensor. @throws file_error if there is none of that name
  [[nodiscard]] const gguf_tensor& tensor(std::string_view name) const;

  /// A tensor's blocks as the file has them. Non-owning.
  [[nodiscard]] std::span<const std::byte> blocks(const gguf_tensor& tensor) const {
    return mapping_->bytes().subspan(tensor.begin, tensor.bytes);
  }

  /// The elements of a small tensor, as floats, outermost dimension first.
  /// @throws file_error if there is none of that name or its type is not readable here
  [[nodiscard]] std::vector<float> floats(std::string_view name) const;

 private:
  gguf_file(std::shared_ptr<const mapped_file> mapping, std::shared_ptr<const gguf_header> header)
      : mapping_(std::move(mapping)), header_(std::move(header)) {}

  std::shared_ptr<const mapped_file> mapping_;
  std::shared_ptr<const gguf_header> header_;
};

/// Refuses a tensor whose elements cannot be brought back as floats. @throws file_error with the list of types that can
void require_readable(const gguf_tensor& tensor, std::string_view name, std::string_view file);

}  // namespace kvtransfer
