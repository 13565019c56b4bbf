#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/file/cached_layer.hpp"
#include "kvtransfer/cache/file/checksums.hpp"
#include "kvtransfer/cache/file/distinct_frames.hpp"
#include "kvtransfer/cache/file/format.hpp"
#include "kvtransfer/cache/file/frame_tensors.hpp"
#include "kvtransfer/cache/file/placement.hpp"
#include "kvtransfer/cache/file/streamed_tensor.hpp"
#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// Writes a cache file layer by layer or token range by token range, in any order, so that one larger than memory can
/// be written.
///
/// The frame comes first; then every token of every layer, once; then `finish`, before which nothing stands under the
/// file's name. Without it (an exception, say) nothing is left.
class cache_file_writer {
 public:
  /// @param frame where the keys will stand: what is written has to be written in it
  /// @param layers one for each of the frame's layers
  /// @throws as `require_writable` and `frame_tensors`; file_error if the folder takes no new file
  cache_file_writer(const std::filesystem::path& path, const cache_frame& frame,
                    const std::vector<cached_layer>& layers, file_checksums checksums = file_checksums::crc32)
      : file_(path), with_checksums_(checksums) {
    require_writable(frame, layers, "cache_file_writer");
    const distinct_frames distinct(frame);
    const std::vector<frame_tensor> small = frame_tensors(frame, distinct);
    place(small, layer_tensors(frame, layers));
    header_.metadata["format"] = "pt";  // transformers opens files that say so
    header_.metadata[std::string(cache_format::frame_entry)] = format_frame(record_of(frame, distinct));
    write_first(small);
    for (std::size_t i = 0; i < layers.size(); ++i) {
      layers_.emplace_back(streamed(cache_format::key(i)), streamed(cache_format::value(i)));
    }
  }

  /// Writes a whole layer.
  /// @param keys `[batch, kv_heads, seq, head_dim]`, the declared dtype, any strides and device
  /// @param values likewise
  /// @throws as the form below
  void write(std::int64_t layer, const at::Tensor& keys, const at::Tensor& values) { write(layer, 0, keys, values); }

  /// Writes the tokens of a layer from `begin` on, as many as there are in `keys`.
  /// @throws shape_error where shape or dtype is not what was declared; value_error for tokens outside the layer or
  /// written before; file_error if the disk refuses
  void write(std::int64_t layer, std::int64_t begin, const at::Tensor& keys, const at::Tensor& values) {
    constexpr std::string_view where = "cache_file_writer::write";
    require_unfinished(where);
    if (layer < 0 || layer >= static_cast<std::int64_t>(layers_.size())) {
      fail<value_error>(where, "layer", fmt::format("0 <= layer < {}", layers_.size()), fmt::format("{}", layer));
    }
    auto& [key, value] = layers_[static_cast<std::size_t>(layer)];
    key.require_expected(begin, keys, where);
    value.require_expected(begin, values, where);
    if (keys.size(2) != values.size(2)) {
      fail<shape_error>(where, value.name(), fmt::format("{} tokens, as in the keys", keys.size(2)),
                        fmt::format("{}", values.size(2)));
    }
    key.write(file_, begin, keys);
    value.write(file_, begin, values);
  }

  /// Gives the complete file its name, replacing an older one.
  /// @throws value_error if tokens are missing; file_error if the disk refuses
  void finish() {
    constexpr std::string_view where = "cache_file_writer::finish";
    require_unfinished(where);
    for (const auto& layer : layers_) {
      for (const streamed_tensor& tensor : {std::cref(layer.first), std::cref(layer.second)}) {
        tensor.require_complete(where);
        checksums_[tensor.name()] = tensor.checksum();
      }
    }
    write_header();
    file_.commit();
    finished_ = true;
  }

 private:
  void require_unfinished(std::string_view where) const {
    require<value_error>(!finished_, where, "file", "one that is not finished", "a finished one");
  }

  void place(const std::vector<frame_tensor>& small, const std::vector<unplaced_tensor>& large) {
    std::vector<unplaced_tensor> tensors;
    for (const frame_tensor& tensor : small) {
      tensors.push_back(tensor.declaration);
    }
    tensors.insert(tensors.end(), large.begin(), large.end());
    header_ = place_tensors(std::move(tensors));
  }

  /// The header, with zeros for the checksums of what is still to come, and the frame's tensors.
  void write_first(const std::vector<frame_tensor>& small) {
    for (const auto& [name, entry] : header_.tensors) {
      checksums_[name] = 0;
    }
    for (const frame_tensor& tensor : small) {
      checksums_[tensor.declaration.name] = crc32_of(tensor.bytes);
    }
    const std::string& frame = header_.metadata[std::string(cache_format::frame_entry)];
    checksums_[std::string(cache_format::frame_entry)] = crc32_of(std::as_bytes(std::span(frame)));
    header_.data_begin = write_header();
    for (const frame_tensor& tensor : small) {
      file_.write_at(header_.data_begin + header_.tensors.at(tensor.declaration.name).begin, tensor.bytes);
    }
  }

  /// Writes the header, or writes it again: checksums change, its length does not.
  /// @return bytes
  std::uint64_t write_header() {
    if (with_checksums_ == file_checksums::crc32) {
      header_.metadata[std::string(cache_format::checksum_entry)] = format_checksums(checksums_);
    }
    const std::string text = format_safetensors_header(header_);
    file_.write_at(0, std::as_bytes(std::span(text)));
    return text.size();
  }

  streamed_tensor streamed(const std::string& name) const {
    return {name, header_.tensors.at(name), header_.data_begin, with_checksums_};
  }

  atomic_file file_;
  file_checksums with_checksums_;
  bool finished_ = false;
  safetensors_header header_;
  checksum_list checksums_;
  std::vector<std::pair<streamed_tensor, streamed_tensor>> layers_;
};

}  // namespace kvtransfer
