#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kvtransfer/core/implementation.hpp"

namespace kvtransfer::rope {

using kvtransfer::implementation;

/// Which angle a key at position p was written with.
enum class angle_mode : std::uint8_t {
  exact,           ///< p·f: a move rotates by the mathematical difference
  model_faithful,  ///< fl32(p·f), as transformers computes it: a move lands on the bits the model would have written
                   ///< there
};

/// How a move is carried out; the defaults fit everything but HunYuan's keys.
///
/// HunYuan caches w·norm(R(p)·k). With the weight w given, a key moves to exactly what the model would write for the
/// same hidden state at the new position. But such attention depends on more than differences of positions, so a text
/// prefilled elsewhere has other hidden states in its deeper layers: only its first layer is a shift of this one's.
struct options {
  implementation use = implementation::automatic;  ///< ATen or the fused kernel
  angle_mode angles = angle_mode::exact;           ///< of the positions moved between
  at::Tensor norm_weight = {};  ///< `[head_dim]`: the weight of a norm applied after RoPE, for keys that have one
};

}  // namespace kvtransfer::rope
