#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "kvtransfer/rope/angles.hpp"
#include "kvtransfer/rope/detail/reference_rotation.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/rope/specification.hpp"
#include "kvtransfer/tensor/operations.hpp"
#include "kvtransfer/tensor/quantized/dequantize.hpp"
#include "kvtransfer/tensor/quantized/error_bound.hpp"
#include "kvtransfer/tensor/quantized/quantization.hpp"
#include "kvtransfer/tensor/quantized/quantize.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer::rope::detail {

/// What a rotation writes of a head: the rotary window, and per token the rest of each group that the window reaches
/// into, since a group has one scale. Everything else keeps its codes.
struct rotated_columns {
  std::int64_t first;         ///< element
  std::int64_t count;         ///< elements
  std::int64_t first_scale;   ///< along the last axis of `scales`
  std::int64_t scales_count;  ///< along the last axis of `scales`
};

inline rotated_columns columns_rotated_by(const rotary_specification& geometry, const quantization& scheme) {
  const std::int64_t begin = geometry.window_offset;
  const std::int64_t count = geometry.rotary_dim();
  if (scheme.is_per_channel()) {
    return {begin, count, begin, count};
  }
  const std::int64_t size = scheme.group_size;
  const std::int64_t first = begin / size;
  const std::int64_t groups = (begin + count + size - 1) / size - first;
  return {first * size, groups * size, first, groups};
}

/// √(a² + b²) for the two elements a and b of every pair, in the place of either.
/// @param window `[batch, kv_heads, groups, rotary_dim]`
inline at::Tensor pair_lengths(const at::Tensor& window, pairing pairs) {
  const std::int64_t half = window.size(-1) / 2;
  if (pairs == pairing::half_split) {
    const at::Tensor lengths = window.narrow(-1, 0, half).hypot(window.narrow(-1, half, half));
    return kvtransfer::detail::joined({lengths, lengths}, -1);
  }
  const at::Tensor pair = window.unflatten(-1, {half, 2});
  return pair.select(-1, 0).hypot(pair.select(-1, 1)).unsqueeze(-1).expand({-1, -1, -1, -1, 2}).flatten(-2);
}

/// The most that something of either element of a pair comes to when the pair rotates. Per channel each element knows
/// its partner; per token the partner may be in any group of the window, and the largest there stands for it.
/// @param columns the columns of something like `scales` that are rotated
inline at::Tensor rotated_pairs(const at::Tensor& columns, const quantization& scheme, pairing pairs, double gain) {
  return scheme.is_per_channel() ? pair_lengths(columns, pairs).mul(gain)
                                 : columns.hypot(columns.amax(-1, true)).mul(std::max(gain, 1.0));
}

/// The error that keys carry into their next quantization: of what is rotated, that of either element of a pair and
/// what float32 rounds; of the rest, what they carry already.
/// @param keys before the rotation, with what they carry
/// @return as `scales`
inline at::Tensor rotated_error(const quantized_tensor& keys, const rotary_specification& geometry, double gain) {
  constexpr double rounding = 9.53674316e-7;  // 2^-20 of a pair's length: cosine and sine to 5e-7, products and sum
  const rotated_columns columns = columns_rotated_by(geometry, keys.scheme);
  const auto rotated = [&](const at::Tensor& per_group) {
    return rotated_pairs(per_group.narrow(-1, columns.first_scale, columns.scales_count), keys.scheme, geometry.pairing,
                         gain);
  };
  const at::Tensor rounded_off = rotated(kvtransfer::detail::largest_magnitude(keys)).mul(rounding);
  return replace_window(keys.carried_error, rotated(error_bound(keys)).add(rounded_off), columns.first_scale);
}

/// Dequantizes, rotates and quantizes with new scales, by ATen.
/// @param valid bool `[batch or 1, kv_heads or 1, seq, 1]`, or undefined
inline void reference_rotate_quantized_keys_(const quantized_tensor& keys, const rotation& rotation, const options& how,
                                             const at::Tensor& valid) {
  const rotary_specification& geometry = rotation.geometry();
  const rotated_columns columns = columns_rotated_by(geometry, keys.scheme);
  const at::Tensor elements = dequantize(keys, at::kFloat);
  const cos_sin table = rotation_table(rotation, at::kFloat, elements.device(), how.angles);
  const at::Tensor window = rotated_window(elements, rotation, table, how.norm_weight);
  const at::Tensor rotated =
      replace_window(elements, window, geometry.window_offset).narrow(3, columns.first, columns.count);
  const auto ranges = kvtransfer::detail::ranges_of(rotated, valid, keys.scheme, keys.groups);
  const auto write = [&](const at::Tensor& to, const at::Tensor& columns_of_it) {
    to.narrow(3, columns.first_scale, columns.scales_count).copy_(columns_of_it);
  };
  write(keys.scales, ranges.scales);
  if (ranges.minimums.defined()) {
    write(keys.minimums, ranges.minimums);
  }
  const std::int64_t packed = codes_per_byte(keys.scheme.format);
  keys.codes.narrow(3, columns.first / packed, columns.count / packed)
      .copy_(kvtransfer::detail::codes_in(rotated, ranges, keys.scheme, keys.groups));
}

}  // namespace kvtransfer::rope::detail
