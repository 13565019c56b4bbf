#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/core/position_row.hpp"
#include "kvtransfer/project/key_rotation.hpp"

namespace kvtransfer::detail {

/// `layer` of keys that carry no rotation; positions stay known, padding stays padding.
[[nodiscard]] inline cache_frame::shared_layer without_rotation(const cache_frame::shared_layer& layer) {
  layer_frame plain =
      layer->with_states([](slot_state state) { return state.is_padding() ? state : slot_state::unrotated(); });
  plain.specifications.clear();
  return std::make_shared<const layer_frame>(std::move(plain));
}

/// Keys that stand in `from`, as they are in `to`. A tensor of its own, unless nothing moves; differentiable.
/// @param keys `[batch, kv_heads, seq, head_dim]`
/// @throws shape_error where the frames' slots differ, and what a rotation throws
[[nodiscard]] inline at::Tensor moved_keys(const at::Tensor& keys, const cache_frame::shared_layer& from,
                                           const cache_frame::shared_layer& to) {
  if (from == to || *from == *to) {
    return keys;
  }
  const cache moving = cache_access::of({keys}, {keys}, moving_frames{cache_frame({from}), cache_frame({to}), nullptr});
  return moving.view().layer(0).keys();
}

/// Keys of a cache as a projector reads them. @param frame in which they stand
[[nodiscard]] inline at::Tensor keys_read(const at::Tensor& keys, const cache_frame::shared_layer& frame,
                                          key_rotation rotation) {
  return rotation == key_rotation::rotated ? keys : moved_keys(keys, frame, without_rotation(frame));
}

/// Keys that a projector gave as a cache holds them. @param frame in which they shall stand
[[nodiscard]] inline at::Tensor keys_written(const at::Tensor& keys, const cache_frame::shared_layer& frame,
                                             key_rotation rotation) {
  return rotation == key_rotation::rotated ? keys : moved_keys(keys, without_rotation(frame), frame);
}

}  // namespace kvtransfer::detail
