#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <string_view>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/quantized/fused_turn_quantized.hpp"
#include "kvtransfer/rope/quantized/reference_turn_quantized.hpp"
#include "kvtransfer/rope/quantized/turned_error.hpp"
#include "kvtransfer/rope/turn_checks.hpp"
#include "kvtransfer/rope/turning.hpp"
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

}  // namespace detail

/// Throws what `turn_quantized_` would throw for these arguments and turns nothing.
/// @return `how_far` with four-dimensional positions
inline turning require_quantized_turnable(const quantized_tensor& keys, const turning& how_far, const options& how = {},
                                          std::string_view where = "turn_quantized_") {
  validate(keys, where);
  detail::require_writable({keys.codes}, where);
  detail::require_writable({keys.scales}, where);
  turning turn = detail::checked(how_far, detail::like_elements(keys), how, where);
  const rotary_specification& geometry = turn.geometry();
  if (geometry.rotates()) {
    detail::turns_quantized_fused(keys, geometry, how, where);
  }
  if (geometry.window_offset % codes_per_byte(keys.scheme.format) != 0) {
    fail<value_error>(where, "window_offset", "an even number for codes of 4 bits", fmt::format("{}", geometry.window_offset));
  }
  return turn;
}

/// Turns quantized keys in place: dequantizes, turns and quantizes with new scales, since a turned element may be √2 times as
/// large. What the scheme's error comes to is added to `carried_error`. Groups that no pair reaches keep their codes.
/// @param keys their tensors are written to; only `carried_error` may be replaced
/// @param held bool `[batch or 1, kv_heads or 1, seq]`: false for padding, which counts for nothing in its group; undefined: all
/// @throws shape_error, frame_error, value_error, device_error on arguments that do not fit
inline void turn_quantized_(quantized_tensor& keys, const turning& how_far, const options& how = {}, const at::Tensor& held = {},
                            std::string_view where = "turn_quantized_") {
  const turning turn = require_quantized_turnable(keys, how_far, how, where);
  const at::Tensor counted = kvtransfer::detail::held_elements(held, keys.extents(), keys.device(), where);
  const rotary_specification& geometry = turn.geometry();
  if (!geometry.rotates() || keys.codes.numel() == 0) {
    return;
  }
  const at::Tensor carried = detail::turned_error(keys, geometry, turn.gain());
  if (detail::turns_quantized_fused(keys, geometry, how, where)) {
    detail::fused_turn_quantized_(keys, turn, how, counted);
  } else {
    detail::reference_turn_quantized_(keys, turn, how, counted);
  }
  keys.carried_error = keys.carried_error.defined() ? keys.carried_error.copy_(carried) : carried;
}

}  // namespace kvtransfer::rope
