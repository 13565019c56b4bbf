#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/bitwise_not.h>
#include <ATen/ops/reciprocal.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/where.h>

#include <numbers>

#include "kvtransfer/rope/frequencies.hpp"
#include "kvtransfer/rope/type_parameters.hpp"

namespace kvtransfer::rope::types {

/// "llama3": wavelengths that fit less than `low_freq_factor` times into the original context are stretched by
/// `factor`, those that fit more than `high_freq_factor` times are kept, those between are blended.
/// Source: Meta's llama-models, apply_scaling; transformers, _compute_llama3_parameters
[[nodiscard]] inline frequencies llama3(const type_parameters& parameters, std::int64_t /*length*/) {
  const at::Tensor plain = plain_frequencies(parameters.theta(), parameters.rotary_dim());
  const double factor = parameters.positive("factor");
  const double low = parameters.positive("low_freq_factor");
  const double high = parameters.positive("high_freq_factor");
  require<value_error>(high > low, "rope_parameters", "high_freq_factor", fmt::format("above low_freq_factor={}", low),
                       fmt::format("{}", high));
  const double original = parameters.original_length();
  const at::Tensor wavelength = at::reciprocal(plain) * (2 * std::numbers::pi);
  const at::Tensor is_long = wavelength > original / low;
  const at::Tensor is_short = wavelength < original / high;
  const at::Tensor stretched = at::where(is_long, plain / factor, plain);
  const at::Tensor share = (at::reciprocal(wavelength) * original - low) / (high - low);
  const at::Tensor blended = at::rsub(share, 1) * stretched / factor + share * stretched;
  return {listed(at::where(at::bitwise_not(is_short) * at::bitwise_not(is_long), blended, stretched))};
}

}  // namespace kvtransfer::rope::types
