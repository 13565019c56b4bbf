#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/reciprocal.h>
#include <ATen/ops/rsub.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "kvtransfer/rope/frequencies.hpp"
#include "kvtransfer/rope/type_parameters.hpp"

namespace kvtransfer::rope::types {

namespace detail {

/// m(x) = 0.1·x·ln(factor) + 1: how much sharper attention gets in a context `factor` times as long.
[[nodiscard]] inline double yarn_magnitude(double factor, double weight = 1.0) {
  return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1.0;
}

/// s: given outright, or from `mscale` and `mscale_all_dim` (DeepSeek), or m(1).
[[nodiscard]] inline double yarn_attention_scaling(const type_parameters& parameters, double factor) {
  if (const auto given = parameters.optional_number("attention_factor")) {
    return *given;
  }
  const double weight = parameters.optional_number("mscale").value_or(0.0);
  const double weight_all = parameters.optional_number("mscale_all_dim").value_or(0.0);
  return weight != 0 && weight_all != 0 ? yarn_magnitude(factor, weight) / yarn_magnitude(factor, weight_all)
                                        : yarn_magnitude(factor);
}

/// The pair at which a wavelength fits `rotations` times into the original context, a fraction.
[[nodiscard]] inline double yarn_pair_of(double rotations, std::int64_t dim, double theta, double original_length) {
  return static_cast<double>(dim) * std::log(original_length / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(theta));
}

/// First and last pair of the ramp between frequencies kept and frequencies divided.
[[nodiscard]] inline std::pair<double, double> yarn_ramp(const type_parameters& parameters, std::int64_t dim) {
  const auto nonzero = [&](const char* key, double otherwise) {
    const double value = parameters.optional_number(key).value_or(0.0);
    return value == 0 ? otherwise : value;
  };
  double low = yarn_pair_of(nonzero("beta_fast", 32), dim, parameters.theta(), parameters.original_length());
  double high = yarn_pair_of(nonzero("beta_slow", 1), dim, parameters.theta(), parameters.original_length());
  if (parameters.truth("truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dim - 1));
  return {low, low == high ? high + 0.001 : high};
}

}  // namespace detail

/// "yarn": long wavelengths are divided by `factor`, short ones kept, a linear ramp in between; attention scaled by s.
/// Source: Peng et al. 2023, sections 3.2 to 3.4; transformers, _compute_yarn_parameters
[[nodiscard]] inline frequencies yarn(const type_parameters& parameters, std::int64_t /*length*/) {
  const std::int64_t dim = parameters.rotary_dim();
  require<value_error>(dim % 2 == 0, "rope_parameters", "partial_rotary_factor", "an even number of rotary elements",
                       fmt::format("{}", dim));
  const double factor =
      parameters.has("factor") ? parameters.positive("factor") : parameters.max_length() / parameters.original_length();
  const at::Tensor wavelengths = wavelength_series(parameters.theta(), dim);
  const at::Tensor kept = at::reciprocal(wavelengths);
  const at::Tensor divided = at::reciprocal(wavelengths * factor);
  const auto [low, high] = detail::yarn_ramp(parameters, dim);
  const at::Tensor pairs = at::arange(dim / 2, wavelengths.options());
  const at::Tensor share_kept = at::rsub(at::clamp((pairs - low) / (high - low), 0, 1), 1);
  return {listed(divided * at::rsub(share_kept, 1) + kept * share_kept),
          detail::yarn_attention_scaling(parameters, factor)};
}

}  // namespace kvtransfer::rope::types
