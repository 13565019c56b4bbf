#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <numbers>
#include <string_view>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/quantized/code_format.hpp"

namespace kvtransfer::rope::detail {

/// What there is to know of an fp8 type; null for other types.
inline const code_format_description* fp8_format_of(at::ScalarType dtype) {
  const auto* const found = std::ranges::find(code_formats, dtype, &code_format_description::type);
  return found == code_formats.end() || dtype == at::kByte ? nullptr : found;
}

/// Whether the elements of `keys` are so small that no rotation takes one out of their type: a rotated element is as
/// large as its pair is long, at most. Without their sign, bytes of fp8 rise as the numbers do.
inline bool fits_at_any_angle(const at::Tensor& keys, double gain, const code_format_description& format) {
  const at::Tensor largest = keys.view(at::kByte).bitwise_and(0x7F).amax().view(keys.scalar_type());
  return largest.to(at::kFloat).item<double>() * std::numbers::sqrt2 * gain <= format.largest_code;
}

/// @param rotated elements in float32
/// @param valid bool, broadcast to the elements: false for padding, whose contents mean nothing; undefined: all
/// @throws value_error where one lies further from `format`'s largest number than rounding takes it
inline void require_in_range(const at::Tensor& rotated, const code_format_description& format, const at::Tensor& valid,
                             std::string_view where) {
  const at::Tensor sizes = rotated.abs();
  at::Tensor over = sizes.gt(format.largest_code + format.half_step);
  over = valid.defined() ? over.logical_and(valid) : over;
  if (over.any().item<bool>()) {
    fail<value_error>(where, "keys",
                      fmt::format("rotated elements of at most {} in {} (quantize the cache again with a larger scale)",
                                  format.largest_code, format.name),
                      fmt::format("{:.6g}", sizes.masked_fill(over.logical_not(), 0).amax().item<double>()));
  }
}

}  // namespace kvtransfer::rope::detail
