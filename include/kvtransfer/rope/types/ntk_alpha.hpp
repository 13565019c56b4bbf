#pragma once

#include <cmath>

#include "kvtransfer/rope/frequencies.hpp"
#include "kvtransfer/rope/type_parameters.hpp"

namespace kvtransfer::rope::types {

/// "ntk_alpha" (HunYuan): a base stretched once and for all, θ·alpha^(d/(d−2)).
/// Source: transformers, HunYuanDenseV1RotaryEmbedding.compute_ntk_alpha_rope_parameters
[[nodiscard]] inline frequencies ntk_alpha(const type_parameters& parameters, std::int64_t /*length*/) {
  const std::int64_t dim = parameters.rotary_dim();
  require<value_error>(dim > 2, "rope_parameters", "rotary_dim", "more than 2 elements for the type ntk_alpha",
                       fmt::format("{}", dim));
  const double power = static_cast<double>(dim) / static_cast<double>(dim - 2);
  return {listed(plain_frequencies(parameters.theta() * std::pow(parameters.positive("alpha"), power), dim))};
}

}  // namespace kvtransfer::rope::types
