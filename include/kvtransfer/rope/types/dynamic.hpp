#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/scalar_tensor.h>

#include <cmath>

#include "kvtransfer/rope/frequencies.hpp"
#include "kvtransfer/rope/type_parameters.hpp"

namespace kvtransfer::rope::types {

/// "dynamic": the base grows with the sequence, θ' = θ·(factor·L/max − (factor − 1))^(d/(d−2)), once L exceeds the
/// trained length.
///
/// transformers computes the trained length in Python floats and every longer one in fp32 tensors; so does this. It
/// also keeps the frequencies of the longest batch so far until one within the trained length comes; `length` is then
/// that batch's. Source: transformers, _compute_dynamic_ntk_parameters and dynamic_frequency_update
[[nodiscard]] inline frequencies dynamic(const type_parameters& parameters, std::int64_t length) {
  const std::int64_t dim = parameters.rotary_dim();
  require<value_error>(dim > 2, "rope_parameters", "rotary_dim", "more than 2 elements for the type dynamic",
                       fmt::format("{}", dim));
  const double theta = parameters.theta();
  const double factor = parameters.positive("factor");
  const double trained = parameters.max_length();
  const double power = static_cast<double>(dim) / static_cast<double>(dim - 2);
  if (length <= parameters.max_position_embeddings) {
    return {listed(plain_frequencies(theta * std::pow(factor * trained / trained - (factor - 1), power), dim))};
  }
  const at::Tensor stretch = at::scalar_tensor(length, at::kLong) * factor / trained - (factor - 1);
  const at::Tensor base = at::pow(stretch, power) * theta;
  return {listed(at::reciprocal(at::pow(base, frequency_exponents(dim, dim))))};
}

}  // namespace kvtransfer::rope::types
