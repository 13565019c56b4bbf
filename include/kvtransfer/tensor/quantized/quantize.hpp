#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "kvtransfer/tensor/detail/codes.hpp"
#include "kvtransfer/tensor/quantized/concat.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer {

namespace detail {

/// `valid` so that it broadcasts against elements. @throws shape_error, device_error unless it does
/// @param valid bool `[batch or 1, kv_heads or 1, seq]`, or undefined
[[nodiscard]] at::Tensor valid_elements(const at::Tensor& valid, const cache_extents& extents, at::Device device,
                                        std::string_view where);

/// Elements as codes in `ranges`.
/// @param elements `[batch, kv_heads, seq, head_dim]`, float32 or less
[[nodiscard]] at::Tensor codes_in(const at::Tensor& elements, const group_ranges& ranges, const quantization& scheme,
                                  const slot_groups& groups);

/// Elements as float32, or less where passes over them are bound by memory: a CPU has its slab in a cache, and there
/// arithmetic on floats is the quicker.
[[nodiscard]] at::Tensor in_float32_or_less(const at::Tensor& elements);

/// Elements as codes, in one go.
/// @param elements `[batch, kv_heads, seq, head_dim]`, floating
/// @param valid as `valid_elements` gives it
[[nodiscard]] quantized_tensor quantized_slots(const at::Tensor& elements, const at::Tensor& valid,
                                               const quantization& scheme);

}  // namespace detail

/// Stores `elements` as codes, each at most half a step from what it was; `error_bound` says how far that is.
/// Infinities and NaNs spoil the group they are in.
/// @param elements `[batch, kv_heads, seq, head_dim]`, floating, any strides
/// @param valid bool `[batch or 1, kv_heads or 1, seq]`: false for padding, which then counts for nothing in its group;
/// undefined: all
/// @throws shape_error, value_error where tensor and scheme do not go together
[[nodiscard]] quantized_tensor quantize(const at::Tensor& elements, const quantization& scheme,
                                        const at::Tensor& valid = {}, std::string_view where = "quantize");

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/quantized/detail/quantize.ipp"  // IWYU pragma: export
#endif
