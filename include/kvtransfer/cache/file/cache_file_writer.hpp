#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/file/detail/cached_layer.hpp"
#include "kvtransfer/cache/file/detail/distinct_frames.hpp"
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/frame_tensors.hpp"
#include "kvtransfer/cache/file/detail/framed_file_writer.hpp"
#include "kvtransfer/cache/file/detail/streamed_tensor.hpp"
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
      : cache_file_writer(path, checked(frame, layers), distinct_frames(frame), layers, checksums) {}

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
    file_.require_unfinished(where);
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
    key.write(file_.file(), begin, keys);
    value.write(file_.file(), begin, values);
  }

  /// Gives the complete file its name, replacing an older one.
  /// @throws value_error if tokens are missing; file_error if the disk refuses
  void finish() {
    constexpr std::string_view where = "cache_file_writer::finish";
    file_.require_unfinished(where);
    for (const auto& [key, value] : layers_) {
      file_.complete(key, where);
      file_.complete(value, where);
    }
    file_.finish();
  }

 private:
  static const cache_frame& checked(const cache_frame& frame, const std::vector<cached_layer>& layers) {
    require_writable(frame, layers, "cache_file_writer");
    return frame;
  }

  cache_file_writer(const std::filesystem::path& path, const cache_frame& frame, const distinct_frames& distinct,
                    const std::vector<cached_layer>& layers, file_checksums checksums)
      : file_(path, frame_tensors(frame, distinct), layer_tensors(frame, layers),
              {{std::string(cache_format::frame_entry), format_frame(record_of(frame, distinct))}}, checksums) {
    for (std::size_t i = 0; i < layers.size(); ++i) {
      layers_.emplace_back(file_.streamed(cache_format::key(i)), file_.streamed(cache_format::value(i)));
    }
  }

  framed_file_writer file_;
  std::vector<std::pair<streamed_tensor, streamed_tensor>> layers_;
};

}  // namespace kvtransfer
