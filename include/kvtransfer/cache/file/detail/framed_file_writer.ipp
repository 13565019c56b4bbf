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
#include "kvtransfer/cache/file/detail/framed_file_writer.hpp"
#include "kvtransfer/cache/file/detail/streamed_tensor.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/safetensors_header.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE framed_file_writer::framed_file_writer(const std::filesystem::path& path,
                                                         const std::vector<frame_tensor>& small,
                                                         const std::vector<unplaced_tensor>& large,
                                                         const safetensors_metadata& entries, file_checksums checksums)
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

KVTRANSFER_INLINE streamed_tensor framed_file_writer::streamed(const std::string& name) const {
  return {name, header_.tensors.at(name), header_.data_begin, with_checksums_};
}

KVTRANSFER_INLINE void framed_file_writer::complete(const streamed_tensor& tensor, std::string_view where) {
  tensor.require_complete(where);
  checksums_[tensor.name()] = tensor.checksum();
}

KVTRANSFER_INLINE void framed_file_writer::finish() {
  write_header();
  file_.commit();
  finished_ = true;
}

KVTRANSFER_INLINE void framed_file_writer::require_unfinished(std::string_view where) const {
  require<value_error>(!finished_, where, "file", "one that is not finished", "a finished one");
}

KVTRANSFER_INLINE std::uint64_t framed_file_writer::write_header() {
  if (with_checksums_ == file_checksums::crc32) {
    header_.metadata[std::string(cache_format::checksum_entry)] =
        format_checksums(header_checksum(header_), checksums_);
  }
  const std::string text = format_safetensors_header(header_);
  file_.write_at(0, std::as_bytes(std::span(text)));
  return text.size();
}

}  // namespace kvtransfer::detail
