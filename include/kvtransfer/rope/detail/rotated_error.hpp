#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/hypot.h>

#include <algorithm>
#include <cstdint>

#include "kvtransfer/rope/angles.hpp"
#include "kvtransfer/rope/detail/rotated_columns.hpp"
#include "kvtransfer/rope/specification.hpp"
#include "kvtransfer/tensor/quantized/error_bound.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer::rope::detail {

/// √(a² + b²) for the two elements a and b of every pair, in the place of either.
/// @param window `[batch, kv_heads, groups, rotary_dim]`
inline at::Tensor pair_lengths(const at::Tensor& window, pairing pairs) {
  const std::int64_t half = window.size(-1) / 2;
  if (pairs == pairing::half_split) {
    const at::Tensor lengths = at::hypot(window.narrow(-1, 0, half), window.narrow(-1, half, half));
    return at::cat({lengths, lengths}, -1);
  }
  const at::Tensor pair = window.unflatten(-1, {half, 2});
  return at::hypot(pair.select(-1, 0), pair.select(-1, 1)).unsqueeze(-1).expand({-1, -1, -1, -1, 2}).flatten(-2);
}

/// The most that something of either element of a pair comes to when the pair rotates. Per channel each element knows its
/// partner; per token the partner may be in any group of the window, and the largest there stands for it.
/// @param columns the columns of something like `scales` that are rotated
inline at::Tensor rotated_pairs(const at::Tensor& columns, const quantization& scheme, pairing pairs, double gain) {
  return scheme.is_per_channel() ? pair_lengths(columns, pairs) * gain
                                 : at::hypot(columns, at::amax(columns, -1, true)) * std::max(gain, 1.0);
}

/// The error that keys carry into their next quantization: of what is rotated, that of either element of a pair and what
/// float32 rounds; of the rest, what they carry already.
/// @param keys before the rotation, with what they carry
/// @return as `scales`
inline at::Tensor rotated_error(const quantized_tensor& keys, const rotary_specification& geometry, double gain) {
  constexpr double rounding = 9.53674316e-7;  // 2^-20 of a pair's length: cosine and sine to 5e-7, products and sum
  const rotated_columns columns = columns_rotated_by(geometry, keys.scheme);
  const auto rotated = [&](const at::Tensor& per_group) {
    return rotated_pairs(per_group.narrow(-1, columns.first_scale, columns.scales_count), keys.scheme, geometry.pairing,
                        gain);
  };
  const at::Tensor error = rotated(error_bound(keys)) + rotated(kvtransfer::detail::largest_magnitude(keys)) * rounding;
  return replace_window(keys.carried_error, error, columns.first_scale);
}

}  // namespace kvtransfer::rope::detail
