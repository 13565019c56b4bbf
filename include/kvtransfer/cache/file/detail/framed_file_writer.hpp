#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/file/detail/checksums.hpp"
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/frame_tensors.hpp"
#include "kvtransfer/cache/file/detail/streamed_tensor.hpp"
#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer::detail {

/// A cache file on its way: header and frames are written at once, the large tensors by whoever has them, and before
/// `finish` nothing stands under the file's name. Without it (an exception, say) nothing is left.
class framed_file_writer {
 public:
  /// @param small the frames' tensors
  /// @param large what else the file will hold, in the order that it is to be read in
  /// @param entries metadata; checksums guard it as they do the tensors
  /// @throws file_error if the folder takes no new file; value_error for sizes that a file cannot have
  framed_file_writer(const std::filesystem::path& path, const std::vector<frame_tensor>& small,
                     const std::vector<unplaced_tensor>& large, const safetensors_metadata& entries,
                     file_checksums checksums)
      : file_(path), with_checksums_(checksums) {
    std::vector<unplaced_tensor> tensors;
    for (const auto& [declaration, bytes] : small) {
      tensors.push_back(declaration);
      checksums_[declaration.name] = crc32_of(bytes);
    }
    for (const unplaced_tensor& tensor : large) {
      tensors.push_back(tensor);
      checksums_[tensor.name] = 0;  // until it is written
    }
    for (const auto& [name, text] : entries) {
      checksums_[name] = crc32_of(std::as_bytes(std::span(text)));
    }
    header_ = place_tensors(std::move(tensors));
    header_.metadata = entries;
    header_.metadata["format"] = "pt";  // transformers opens files that say so
    header_.data_begin = write_header();
    for (const auto& [declaration, bytes] : small) {
      file_.write_at(header_.data_begin + header_.tensors.at(declaration.name).begin, bytes);
    }
  }

  /// A tensor of the file, to be written.
  [[nodiscard]] streamed_tensor streamed(const std::string& name) const {
    return {name, header_.tensors.at(name), header_.data_begin, with_checksums_};
  }

  atomic_file& file() { return file_; }

  /// Takes note that a tensor is written. @throws value_error if some of it is missing
  void complete(const streamed_tensor& tensor, std::string_view where) {
    tensor.require_complete(where);
    checksums_[tensor.name()] = tensor.checksum();
  }

  /// Gives the file its name, replacing an older one. The caller has written every tensor and called `complete` for it.
  /// @throws file_error if the disk refuses
  void finish() {
    write_header();
    file_.commit();
    finished_ = true;
  }

  /// @throws value_error after `finish`
  void require_unfinished(std::string_view where) const {
    require<value_error>(!finished_, where, "file", "one that is not finished", "a finished one");
  }

 private:
  /// Writes the header, or writes it again: checksums change, its length does not.
  /// @return bytes
  std::uint64_t write_header() {
    if (with_checksums_ == file_checksums::crc32) {
      header_.metadata[std::string(cache_format::checksum_entry)] =
          format_checksums(header_checksum(header_), checksums_);
    }
    const std::string text = format_safetensors_header(header_);
    file_.write_at(0, std::as_bytes(std::span(text)));
    return text.size();
  }

  atomic_file file_;
  file_checksums with_checksums_;
  bool finished_ = false;
  safetensors_header header_;
  checksum_list checksums_;
};

}  // namespace kvtransfer::detail
