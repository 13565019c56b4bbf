#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>
#include <vector>

#include "kvtransfer/rope/detail/rotation_checks.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer::rope {

namespace detail {

/// A tensor with the extents that the keys had before quantization, and next to no data.
[[nodiscard]] at::Tensor like_elements(const quantized_tensor& keys);

/// @throws shape_error unless there is a layer, and every other is like it
void require_alike(const std::vector<quantized_tensor>& layers, std::string_view where);

/// Whether the fused kernel rotates keys like these.
/// @throws device_error where `how` asks for it and there is none for them
[[nodiscard]] bool rotates_quantized_fused(const quantized_tensor& keys, const rotary_specification& geometry,
                                           const options& how, std::string_view where);

/// Rotates all layers in one call, and what their errors come to with them.
/// @param layers alike, `carried_error` included, which is written to
/// @param valid bool `[batch or 1, kv_heads or 1, seq, 1]`, or undefined
void fused_rotate_quantized_keys_(const std::vector<quantized_tensor>& layers, const checked_rotation& checked,
                                  const at::Tensor& valid);

}  // namespace detail

/// Throws what `rotate_quantized_keys_` would throw for these arguments, `valid` apart, and rotates nothing.
/// @return what `rotate_checked_quantized_keys_` takes for these layers
checked_rotation require_quantized_rotatable(const std::vector<quantized_tensor>& layers, const rotation& how_far,
                                             const options& how = {},
                                             std::string_view where = "rotate_quantized_keys_");

/// `rotate_quantized_keys_` for layers that `require_quantized_rotatable` has let through.
void rotate_checked_quantized_keys_(std::vector<quantized_tensor>& layers, const checked_rotation& checked,
                                    const at::Tensor& valid = {}, std::string_view where = "rotate_quantized_keys_");

/// Rotates the quantized keys of every layer in place: dequantizes, rotates and quantizes with new scales, since a
/// rotated element may be √2 times as large. What the scheme's error comes to is added to `carried_error`. Groups that
/// no pair reaches keep their codes. A cache that the codes belong to finds out, and refuses to read them as they were.
/// @param layers all of one shape, scheme, groups and device. Their tensors are written to; only `carried_error` may be
/// new
/// @param valid bool `[batch or 1, kv_heads or 1, seq]`: false for padding, which counts for nothing in its group;
/// undefined: all
/// @throws shape_error, frame_error, value_error, device_error on arguments that do not fit
void rotate_quantized_keys_(std::vector<quantized_tensor>& layers, const rotation& how_far, const options& how = {},
                            const at::Tensor& valid = {}, std::string_view where = "rotate_quantized_keys_");

/// The same for one layer.
void rotate_quantized_keys_(quantized_tensor& keys, const rotation& how_far, const options& how = {},
                            const at::Tensor& valid = {}, std::string_view where = "rotate_quantized_keys_");

}  // namespace kvtransfer::rope

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/rope/quantized/detail/rotate_quantized_keys.ipp"  // IWYU pragma: export
#endif
