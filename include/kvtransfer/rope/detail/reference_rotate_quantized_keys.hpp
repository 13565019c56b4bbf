#pragma once

#include <ATen/core/Tensor.h>

#include "kvtransfer/rope/angles.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/detail/rotated_columns.hpp"
#include "kvtransfer/rope/detail/reference_rotation.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/tensor/quantized/dequantize.hpp"
#include "kvtransfer/tensor/quantized/quantize.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer::rope::detail {

/// Dequantizes, rotates and quantizes with new scales, by ATen.
/// @param rotate checked, with four-dimensional positions
/// @param held bool `[batch or 1, kv_heads or 1, seq, 1]`, or undefined
inline void reference_rotate_quantized_keys_(const quantized_tensor& keys, const rotation& rotation, const options& how,
                                      const at::Tensor& held) {
  const rotary_specification& geometry = rotation.geometry();
  const rotated_columns columns = columns_rotated_by(geometry, keys.scheme);
  const at::Tensor elements = dequantize(keys, at::kFloat);
  const cos_sin table = rotation_table(rotation, at::kFloat, elements.device(), how.angles);
  const at::Tensor window = rotated_window(elements, rotation, table, how.norm_weight);
  const at::Tensor rotated =
      replace_window(elements, window, geometry.window_offset).narrow(3, columns.first, columns.count);
  const auto ranges = kvtransfer::detail::ranges_of(rotated, held, keys.scheme, keys.groups);
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
