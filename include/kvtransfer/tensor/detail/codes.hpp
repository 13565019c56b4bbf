#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/bitwise_and.h>
#include <ATen/ops/bitwise_right_shift.h>
#include <ATen/ops/stack.h>

#include "kvtransfer/tensor/quantized/code_format.hpp"

namespace kvtransfer::detail {

/// The nearest codes to elements that are in units of a step already.
/// @param steps float `[..., head_dim]`, overwritten
/// @return `[..., head_dim / codes a byte]`
inline at::Tensor codes_of(const at::Tensor& steps, code_format format) {
  const double largest = largest_code(format);
  if (!is_integer(format)) {
    return steps.clamp_(-largest, largest).to(scalar_type_of(format));
  }
  const at::Tensor codes = steps.round_().nan_to_num_().clamp_(0, largest).to(at::kByte);
  if (format == code_format::int8) {
    return codes;
  }
  const at::Tensor pairs = codes.unflatten(-1, {-1, 2});
  return pairs.select(-1, 0) + pairs.select(-1, 1) * 16;
}

/// The numbers that codes stand for, before scale and minimum: bytes for integers, float32 for floats.
/// @return `[..., head_dim]`
inline at::Tensor numbers_of(const at::Tensor& codes, code_format format) {
  if (format != code_format::int4) {
    return is_integer(format) ? codes : codes.to(at::kFloat);
  }
  return at::stack({at::bitwise_and(codes, 15), at::bitwise_right_shift(codes, 4)}, -1).flatten(-2);
}

}  // namespace kvtransfer::detail
