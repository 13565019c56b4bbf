#pragma once

#include "kvtransfer/rope/frequencies.hpp"
#include "kvtransfer/rope/type_parameters.hpp"

namespace kvtransfer::rope::types {

/// "linear": position interpolation, every frequency divided by `factor`.
/// Source: Chen et al. 2023, section 2.3; transformers, _compute_linear_scaling_rope_parameters
[[nodiscard]] inline frequencies linear(const type_parameters& parameters, std::int64_t /*length*/) {
  return {listed(plain_frequencies(parameters.theta(), parameters.rotary_dim()).div_(parameters.positive("factor")))};
}

}  // namespace kvtransfer::rope::types
