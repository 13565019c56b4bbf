#pragma once

#include <ATen/ops/cat.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/zeros.h>

#include "kvtransfer/rope/frequencies.hpp"
#include "kvtransfer/rope/type_parameters.hpp"

namespace kvtransfer::rope::types {

/// "proportional" (Gemma 4): the series spans the whole head, but only its first part rotates; the rest stands still.
/// Source: transformers, _compute_proportional_rope_parameters
[[nodiscard]] inline frequencies proportional(const type_parameters& parameters, std::int64_t /*length*/) {
  const std::int64_t pairs = parameters.head_dim / 2;
  const double share = parameters.partial_rotary_factor() * static_cast<double>(parameters.head_dim);
  const auto rotation = static_cast<std::int64_t>(share / 2);
  require<value_error>(rotation >= 0 && rotation <= pairs, "rope_parameters", "partial_rotary_factor",
                       "between 0 and 1", fmt::format("{}", parameters.partial_rotary_factor()));
  const at::Tensor exponents = frequency_exponents(2 * rotation, parameters.head_dim);
  const at::Tensor rotated = at::reciprocal(at::pow(at::Scalar(parameters.theta()), exponents));
  const at::Tensor still = at::zeros({pairs - rotation}, rotated.options());
  return {listed(at::cat({rotated, still}).div_(parameters.has("factor") ? parameters.positive("factor") : 1.0))};
}

}  // namespace kvtransfer::rope::types
