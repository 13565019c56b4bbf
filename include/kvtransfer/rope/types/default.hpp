#pragma once

#include "kvtransfer/rope/frequencies.hpp"
#include "kvtransfer/rope/type_parameters.hpp"

namespace kvtransfer::rope::types {

/// "default": f = θ^(−2i/d).
/// Source: Su et al. 2021, section 3.2.2; transformers, LlamaRotaryEmbedding
[[nodiscard]] inline frequencies plain(const type_parameters& parameters, std::int64_t /*length*/) {
  return {listed(plain_frequencies(parameters.theta(), parameters.rotary_dim()))};
}

}  // namespace kvtransfer::rope::types
