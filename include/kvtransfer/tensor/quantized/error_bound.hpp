#pragma once

#include <ATen/core/Tensor.h>

#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer {

namespace detail {

/// The largest magnitude that the codes of a group can stand for.
[[nodiscard]] inline at::Tensor largest_magnitude(const quantized_tensor& quantized) {
  const at::Tensor reach = quantized.scales.mul(largest_code(quantized.scheme.format));
  return quantized.minimums.defined() ? reach.add(quantized.minimums.abs()) : reach;
}

/// Half a step, and what float32 rounds on the way to a code and back.
[[nodiscard]] inline at::Tensor quantization_error(const quantized_tensor& quantized) {
  constexpr double eight_roundings = 4.76837158e-7;  // 2^-21
  return quantized.scales.mul(half_step(quantized.scheme.format)).add(largest_magnitude(quantized), eight_roundings);
}

}  // namespace detail

/// How far an element of each group may be from the one that was quantized, moves since then included. After `quantize`
/// that is half a step. A move rotates the errors of a pair with the pair, so that one may become sqrt(a^2 + b^2), at
/// most sqrt(2) times the larger, and adds half of the new step. It holds for elements dequantized to float32.
/// @return as `scales`
[[nodiscard]] inline at::Tensor error_bound(const quantized_tensor& quantized) {
  const at::Tensor bound = detail::quantization_error(quantized);
  return quantized.carried_error.defined() ? bound.add(quantized.carried_error) : bound;
}

}  // namespace kvtransfer
