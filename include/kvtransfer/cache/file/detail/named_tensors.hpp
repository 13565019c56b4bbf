#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/file/detail/checksums.hpp"
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer::detail {

/// The tensors of a file whose header is sound, looked up by those who know which have to be there. Non-owning.
class named_tensors {
 public:
  /// @param bytes the whole file
  /// @param file named in errors
  /// @param checksums of what is read, if the file has any
  named_tensors(std::span<const std::byte> bytes, std::string_view file, const safetensors_header& header,
                const std::optional<checksum_list>& checksums)
      : bytes_(bytes), file_(file), header_(&header), checksums_(&checksums) {}

  std::string_view file() const { return file_; }
  bool contains(std::string_view tensor) const { return header_->tensors.contains(tensor); }

  /// @throws file_error always
  [[noreturn]] void refuse(std::string_view tensor, std::string_view expected, std::string_view got) const {
    fail<file_error>(file_, fmt::format("tensor {}", tensor), expected, got);
  }

  /// @throws file_error always, with the tensor's shape as what was found
  [[noreturn]] void refuse_shape(std::string_view tensor, std::string_view expected) const {
    refuse(tensor, expected, fmt::format("[{}]", fmt::join(header_->tensors.find(tensor)->second.shape, ", ")));
  }

  /// The entry of a tensor. @throws file_error unless it is there, with so many axes
  const safetensors_entry& expect(const std::string& tensor, std::size_t axes) {
    const auto found = header_->tensors.find(tensor);
    if (found == header_->tensors.end()) {
      refuse(tensor, "a tensor of that name", "none");
    }
    if (found->second.shape.size() != axes) {
      refuse_shape(tensor, fmt::format("a shape of {} axes", axes));
    }
    expected_.insert(tensor);
    return found->second;
  }

  /// @throws file_error unless the tensor is there, with so many axes and of that type
  const safetensors_entry& expect(const std::string& tensor, std::size_t axes, safetensors_dtype dtype) {
    const safetensors_entry& entry = expect(tensor, axes);
    if (entry.dtype != dtype) {
      refuse(tensor, describe(dtype).name, describe(entry.dtype).name);
    }
    return entry;
  }

  /// @throws file_error unless an expected tensor has that shape
  void require_shape(const std::string& tensor, const std::vector<std::int64_t>& shape) const {
    if (header_->tensors.find(tensor)->second.shape != shape) {
      refuse_shape(tensor, fmt::format("shape [{}]", fmt::join(shape, ", ")));
    }
  }

  /// The bytes of an expected tensor, to be read at once and so verified at once. @throws file_error for another
  /// checksum
  std::span<const std::byte> bytes(const std::string& tensor) const {
    const safetensors_entry& entry = header_->tensors.find(tensor)->second;
    const auto bytes = bytes_.subspan(header_->data_begin + entry.begin, entry.end - entry.begin);
    if (*checksums_) {
      require_checksum(**checksums_, tensor, bytes, file_);
    }
    return bytes;
  }

  /// @throws file_error where the file has a layer, say, that nobody expected: it would be lost without a word
  void refuse_strays() const {
    for (const auto& [tensor, entry] : header_->tensors) {
      if (cache_format::is_reserved(tensor) && !expected_.contains(tensor)) {
        refuse(excerpt(tensor), "a name that the frame accounts for", "one of another layer or frame");
      }
    }
  }

 private:
  std::span<const std::byte> bytes_;
  std::string_view file_;
  const safetensors_header* header_;
  const std::optional<checksum_list>* checksums_;
  std::set<std::string, std::less<>> expected_;
};

}  // namespace kvtransfer::detail
