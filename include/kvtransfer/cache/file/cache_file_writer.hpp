#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/file/cached_layer.hpp"
#include "kvtransfer/cache/file/detail/framed_file_writer.hpp"
#include "kvtransfer/cache/file/detail/streamed_tensor.hpp"

namespace kvtransfer::detail {

struct distinct_frames;

/// Refuses what a reader of the file would refuse, before anything is written.
/// @throws shape_error where layers and frame disagree, frame_error where a rotary specification does not fit the keys,
/// value_error for a type that is not floating or that safetensors lacks
void require_writable(const cache_frame& frame, const std::vector<cached_layer>& layers, std::string_view where);

/// The layers' tensors, keys and values of one layer side by side. `require_writable` must hold.
[[nodiscard]] std::vector<unplaced_tensor> layer_tensors(const cache_frame& frame,
                                                         const std::vector<cached_layer>& layers);

}  // namespace kvtransfer::detail

namespace kvtransfer {

/// Writes a cache file layer by layer or token range by token range, in any order, so that one larger than memory can
/// be written.
///
/// The frame comes first; then every token of every layer, once; then `finish`, before which nothing stands under the
/// file's name. Without it (an exception, say) nothing is left.
class cache_file_writer {
 public:
  /// For tensors that a caller brings. Nobody has said that a model wrote them so, therefore the file says nothing of
  /// the frame's origin: give `as_written` where it is known.
  /// @param frame where the keys will stand: what is written has to be written in it
  /// @param layers one for each of the frame's layers
  /// @throws as `require_writable` and `frame_tensors`; file_error if the folder takes no new file
  cache_file_writer(const std::filesystem::path& path, const cache_frame& frame,
                    const std::vector<cached_layer>& layers, file_checksums checksums = file_checksums::crc32)
      : cache_file_writer(path, cache_frame(frame).without_origin(), layers, as_written, checksums) {}

  /// For tensors that hold what `frame` says a model wrote. @throws as above
  cache_file_writer(const std::filesystem::path& path, const cache_frame& frame,
                    const std::vector<cached_layer>& layers, as_written_t,
                    file_checksums checksums = file_checksums::crc32);

  /// Writes a whole layer.
  /// @param keys `[batch, kv_heads, seq, head_dim]`, the declared dtype, any strides and device
  /// @param values likewise
  /// @throws as the form below
  void write(std::int64_t layer, const at::Tensor& keys, const at::Tensor& values) { write(layer, 0, keys, values); }

  /// Writes the tokens of a layer from `begin` on, as many as there are in `keys`.
  /// @throws shape_error where shape or dtype is not what was declared; value_error for tokens outside the layer or
  /// written before; file_error if the disk refuses
  void write(std::int64_t layer, std::int64_t begin, const at::Tensor& keys, const at::Tensor& values);

  /// Gives the complete file its name, replacing an older one.
  /// @throws value_error if tokens are missing; file_error if the disk refuses
  void finish();

 private:
  [[nodiscard]] static const cache_frame& checked(const cache_frame& frame, const std::vector<cached_layer>& layers);

  cache_file_writer(const std::filesystem::path& path, const cache_frame& frame,
                    const detail::distinct_frames& distinct, const std::vector<cached_layer>& layers,
                    file_checksums checksums);

  detail::framed_file_writer file_;
  std::vector<std::pair<detail::streamed_tensor, detail::streamed_tensor>> layers_;
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/file/detail/cache_file_writer.ipp"  // IWYU pragma: export
#endif
