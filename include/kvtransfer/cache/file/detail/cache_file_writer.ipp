#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/file/cache_file_writer.hpp"
#include "kvtransfer/cache/file/cached_layer.hpp"
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/frame_tensors.hpp"
#include "kvtransfer/cache/file/detail/specification_json.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE void require_writable(const cache_frame& frame, const std::vector<cached_layer>& layers,
                                        std::string_view where) {
  require_count<shape_error>(layers.size(), frame.layers(), where, "layers", "{}, as the frame has");
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const layer_frame& described = frame.layer(static_cast<std::int64_t>(i));
    described.validate();
    if (described.positions.heads() != 1 && described.positions.heads() != layers[i].kv_heads) {
      fail<shape_error>(where, cache_format::key(i),
                        fmt::format("kv_heads={}, as its positions have", described.positions.heads()),
                        fmt::format("{}", layers[i].kv_heads));
    }
    for (const rotary_specification& specification : described.specifications) {
      require_fitting<frame_error>(specification, described.positions.streams(), layers[i].head_dim, where,
                                   cache_format::key(i));
    }
    for (const at::ScalarType dtype : {layers[i].dtype, layers[i].values_dtype()}) {
      const auto known = safetensors_dtype_of(dtype);
      require<value_error>(known && cache_format::is_floating(*known), where, cache_format::key(i),
                           "a floating dtype that safetensors has", at::toString(dtype));
    }
  }
}

KVTRANSFER_INLINE std::vector<unplaced_tensor> layer_tensors(const cache_frame& frame,
                                                             const std::vector<cached_layer>& layers) {
  std::vector<unplaced_tensor> tensors;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const position_map& map = frame.layer(static_cast<std::int64_t>(i)).positions;
    const cached_layer& layer = layers[i];
    tensors.push_back({cache_format::key(i),
                       *safetensors_dtype_of(layer.dtype),
                       {map.batch(), layer.kv_heads, map.size(), layer.head_dim}});
    tensors.push_back({cache_format::value(i),
                       *safetensors_dtype_of(layer.values_dtype()),
                       {map.batch(), layer.kv_heads, map.size(), layer.values_head_dim()}});
  }
  return tensors;
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE cache_file_writer::cache_file_writer(const std::filesystem::path& path, const cache_frame& frame,
                    const std::vector<cached_layer>& layers, as_written_t,
                    file_checksums checksums)
      : cache_file_writer(path, checked(frame, layers), detail::distinct_frames(frame), layers, checksums) {}

KVTRANSFER_INLINE void cache_file_writer::write(std::int64_t layer, std::int64_t begin, const at::Tensor& keys,
                                                const at::Tensor& values) {
  constexpr std::string_view where = "cache_file_writer::write";
  file_.require_unfinished(where);
  require_index<value_error>(layer, layers_.size(), where, "layer");
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

KVTRANSFER_INLINE void cache_file_writer::finish() {
  constexpr std::string_view where = "cache_file_writer::finish";
  file_.require_unfinished(where);
  for (const auto& [key, value] : layers_) {
    file_.complete(key, where);
    file_.complete(value, where);
  }
  file_.finish();
}

KVTRANSFER_INLINE const cache_frame& cache_file_writer::checked(const cache_frame& frame,
                                                                const std::vector<cached_layer>& layers) {
  detail::require_writable(frame, layers, "cache_file_writer");
  return frame;  // NOLINT(bugprone-return-const-ref-from-parameter): used within the constructor's call
}

KVTRANSFER_INLINE cache_file_writer::cache_file_writer(const std::filesystem::path& path, const cache_frame& frame,
                                                       const detail::distinct_frames& distinct,
                                                       const std::vector<cached_layer>& layers,
                                                       file_checksums checksums)
    : file_(path, detail::frame_tensors(frame, distinct), detail::layer_tensors(frame, layers),
            {{std::string(detail::cache_format::frame_entry),
              detail::format_frame(detail::record_of(frame, distinct, checksums))}},
            checksums) {
  for (std::size_t i = 0; i < layers.size(); ++i) {
    layers_.emplace_back(file_.streamed(detail::cache_format::key(i)), file_.streamed(detail::cache_format::value(i)));
  }
}

}  // namespace kvtransfer
