#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/detail/fused_rotate_quantized_keys.hpp"
#include "kvtransfer/rope/detail/reference_rotate_quantized_keys.hpp"
#include "kvtransfer/rope/detail/rotated_error.hpp"
#include "kvtransfer/rope/detail/rotation_checks.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/tensor/quantized/quantize.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer::rope {

namespace detail {

/// A tensor with the extents that the keys had before quantization, and next to no data.
inline at::Tensor like_elements(const quantized_tensor& keys) {
  const cache_extents extents = keys.extents();
  const at::Tensor one = keys.scales.new_empty({1, 1, 1, 1});
  return one.expand({extents.batch, extents.kv_heads, extents.seq, extents.head_dim});
}

/// @throws shape_error unless there is a layer, and every other is like it
inline void require_alike(const std::vector<quantized_tensor>& layers, std::string_view where) {
  require<shape_error>(!layers.empty(), where, "keys", "at least one layer", "none");
  const quantized_tensor& first = layers.front();
  for (const quantized_tensor& keys : layers) {
    validate(keys, where);
    require_same_device(first.codes, keys.codes, where, "keys");
    if (!are_alike(first, keys)) {
      fail<shape_error>(where, "keys", fmt::format("{}, {}", describe(first.scheme), describe(first.codes)),
                        fmt::format("{}, {}", describe(keys.scheme), describe(keys.codes)));
    }
  }
}

}  // namespace detail

/// Throws what `rotate_quantized_keys_` would throw for these arguments and rotates nothing.
/// @return `how_far` with four-dimensional positions
inline rotation require_quantized_rotatable(const std::vector<quantized_tensor>& layers, const rotation& how_far,
                                          const options& how = {}, std::string_view where = "rotate_quantized_keys_") {
  detail::require_alike(layers, where);
  for (const quantized_tensor& keys : layers) {
    detail::require_writable({keys.codes}, where);
    detail::require_writable({keys.scales}, where);
  }
  const quantized_tensor& first = layers.front();
  rotation rotation = detail::checked(how_far, detail::like_elements(first), how, where);
  const rotary_specification& geometry = rotation.geometry();
  if (geometry.rotates()) {
    detail::rotates_quantized_fused(first, geometry, how, where);
  }
  if (geometry.window_offset % codes_per_byte(first.scheme.format) != 0) {
    fail<value_error>(where, "window_offset", "an even number for codes of 4 bits",
                      fmt::format("{}", geometry.window_offset));
  }
  return rotation;
}

/// Rotates the quantized keys of every layer in place: dequantizes, rotates and quantizes with new scales, since a rotated
/// element may be √2 times as large. What the scheme's error comes to is added to `carried_error`. Groups that no pair
/// reaches keep their codes.
/// @param layers all of one shape, scheme, groups and device. Their tensors are written to; only `carried_error` may be
/// new
/// @param held bool `[batch or 1, kv_heads or 1, seq]`: false for padding, which counts for nothing in its group;
/// undefined: all
/// @throws shape_error, frame_error, value_error, device_error on arguments that do not fit
inline void rotate_quantized_keys_(std::vector<quantized_tensor>& layers, const rotation& how_far, const options& how = {},
                            const at::Tensor& held = {}, std::string_view where = "rotate_quantized_keys_") {
  const rotation rotation = require_quantized_rotatable(layers, how_far, how, where);
  const quantized_tensor& first = layers.front();
  const at::Tensor counted = kvtransfer::detail::valid_elements(held, first.extents(), first.device(), where);
  const rotary_specification& geometry = rotation.geometry();
  if (!geometry.rotates() || first.codes.numel() == 0) {
    return;
  }
  bool fused = true;
  for (quantized_tensor& keys : layers) {
    fused = fused && detail::rotates_quantized_fused(keys, geometry, how, where);
    keys.carried_error = keys.carried_error.defined() ? keys.carried_error : at::zeros_like(keys.scales);
  }
  if (fused) {
    return detail::fused_rotate_quantized_keys_(layers, rotation, how, counted);
  }
  for (quantized_tensor& keys : layers) {
    const at::Tensor carried = detail::rotated_error(keys, geometry, rotation.gain());
    detail::reference_rotate_quantized_keys_(keys, rotation, how, counted);
    keys.carried_error.copy_(carried);
  }
}

/// The same for one layer.
inline void rotate_quantized_keys_(quantized_tensor& keys, const rotation& how_far, const options& how = {},
                            const at::Tensor& held = {}, std::string_view where = "rotate_quantized_keys_") {
  std::vector<quantized_tensor> layers = {keys};
  rotate_quantized_keys_(layers, how_far, how, held, where);
  keys = std::move(layers.front());
}

}  // namespace kvtransfer::rope
