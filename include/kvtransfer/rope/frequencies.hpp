#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/div.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/reciprocal.h>

#include <cstdint>
#include <vector>

namespace kvtransfer::rope {

/// What a rotary type yields for one sequence length.
struct frequencies {
  std::vector<float> inv_freq;     ///< `[rotary_dim/2]`, radians per token
  double attention_scaling = 1.0;  ///< multiplies cos and sin
};

/// 2i/d for every pair i, fp32.
[[nodiscard]] inline at::Tensor frequency_exponents(std::int64_t dim, std::int64_t divisor) {
  return at::div(at::arange(0, dim, 2, at::TensorOptions().dtype(at::kFloat).device(at::kCPU)), divisor);
}

/// θ^(2i/d) for every pair i: wavelengths over 2π, tokens, fp32. The operations and their order are those of
/// transformers, so that the bits agree on one machine.
/// Source: transformers, modeling_rope_utils.py
[[nodiscard]] inline at::Tensor wavelength_series(double theta, std::int64_t dim) {
  return at::pow(at::Scalar(theta), frequency_exponents(dim, dim));
}

/// θ^(−2i/d) for every pair i, radians per token, fp32.
[[nodiscard]] inline at::Tensor plain_frequencies(double theta, std::int64_t dim) {
  return at::reciprocal(wavelength_series(theta, dim));
}

/// The values of an fp32 host tensor.
[[nodiscard]] inline std::vector<float> listed(const at::Tensor& inv_freq) {
  const at::Tensor values = inv_freq.contiguous();
  return {values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel()};
}

}  // namespace kvtransfer::rope
