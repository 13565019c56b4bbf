#pragma once

#include <c10/core/ScalarType.h>
#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/file/detail/format.hpp"
#include "kvtransfer/cache/file/detail/placement.hpp"
#include "kvtransfer/cache/file/detail/specification_json.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/safetensors_scalar_type.hpp"

namespace kvtransfer {

/// What a frame leaves open about one layer's keys and values; how many rows and tokens there are, it says itself.
struct cached_layer {
  std::int64_t kv_heads = 1;
  std::int64_t head_dim = 0;
  at::ScalarType dtype = at::kFloat;
  std::optional<std::int64_t> value_head_dim = {};  ///< where it is not that of the keys
  std::optional<at::ScalarType> value_dtype = {};   ///< likewise

  std::int64_t values_head_dim() const { return value_head_dim.value_or(head_dim); }
  at::ScalarType values_dtype() const { return value_dtype.value_or(dtype); }
};

/// Refuses what a reader of the file would refuse, before anything is written.
/// @throws shape_error where layers and frame disagree, frame_error where a rotary specification does not fit the keys,
/// value_error for a type that is not floating or that safetensors lacks
inline void require_writable(const cache_frame& frame, const std::vector<cached_layer>& layers,
                             std::string_view where) {
  if (static_cast<std::int64_t>(layers.size()) != frame.layers()) {
    fail<shape_error>(where, "layers", fmt::format("{}, as the frame has", frame.layers()),
                      fmt::format("{}", layers.size()));
  }
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

/// The layers' tensors, keys and values of one layer side by side. `require_writable` must hold.
inline std::vector<unplaced_tensor> layer_tensors(const cache_frame& frame, const std::vector<cached_layer>& layers) {
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

}  // namespace kvtransfer
