#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/reciprocal.h>

#include <cmath>

#include "kvtransfer/rope/frequencies.hpp"
#include "kvtransfer/rope/type_parameters.hpp"

namespace kvtransfer::rope::types {

/// "longrope": every frequency has a divisor of its own, from `short_factor` up to the original length and from
/// `long_factor` beyond it; attention scaled by √(1 + ln(factor)/ln(original length)) in both regimes.
/// Source: Ding et al. 2024, section 3; transformers, _compute_longrope_parameters
[[nodiscard]] inline frequencies longrope(const type_parameters& parameters, std::int64_t length) {
  const std::int64_t dim = parameters.rotary_dim();
  const double original = parameters.original_length();
  const double factor = parameters.has("factor") ? parameters.positive("factor") : parameters.max_length() / original;
  const double inferred = factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(original));
  std::vector<float> short_divisors = parameters.positive_list("short_factor", (dim + 1) / 2);
  std::vector<float> long_divisors = parameters.positive_list("long_factor", (dim + 1) / 2);
  std::vector<float>& chosen = static_cast<double>(length) > original ? long_divisors : short_divisors;
  const at::Tensor divisors = at::from_blob(chosen.data(), {(dim + 1) / 2}, at::kFloat);
  return {listed(at::reciprocal(divisors * wavelength_series(parameters.theta(), dim))),
          parameters.optional_number("attention_factor").value_or(inferred)};
}

}  // namespace kvtransfer::rope::types
