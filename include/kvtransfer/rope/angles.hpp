#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kvtransfer/rope/detail/positions.hpp"
#include "kvtransfer/rope/pairing.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::rope {

/// A rotation of every pair: each `[batch or 1, kv_heads or 1, seq or 1, rotary_dim/2]`.
struct cos_sin {
  at::Tensor cos;  ///< of every pair's angle
  at::Tensor sin;  ///< of every pair's angle
};

/// The angle of every pair at every position, radians, computed in `dtype` from the specification's fp32 frequencies.
/// @param positions `[streams, batch, kv_heads, seq]`, int64, any of the four 1
/// @return `[batch, kv_heads, seq, rotary_dim/2]`
[[nodiscard]] at::Tensor angles_at(const rotary_specification& specification, const at::Tensor& positions,
                                   at::ScalarType dtype);

/// The table that a model's forward multiplies queries and keys by: fp32 angles, fp32 cosines and sines, attention
/// scaling applied in fp32, then one cast, whatever `dtype` is (a float64 model in transformers has fp32 angles too).
/// @param positions int64 `[seq]` or `[streams, batch or 1, heads or 1, seq]`, tokens
/// Source: transformers, LlamaRotaryEmbedding.forward
[[nodiscard]] cos_sin cos_sin_table(const rotary_specification& specification, const at::Tensor& positions,
                                    at::ScalarType dtype);

/// Rotates the pairs of a rotary window: (a, b) becomes (a·cos − b·sin, b·cos + a·sin). Differentiable.
/// @param window `[batch, heads, seq, rotary_dim]`
[[nodiscard]] at::Tensor rotate_window(const at::Tensor& window, const cos_sin& table, pairing pairs);

/// Puts a rotated window back between the elements of a head that RoPE leaves alone.
/// @param x `[batch, heads, seq, head_dim]`
[[nodiscard]] at::Tensor replace_window(const at::Tensor& x, const at::Tensor& window, std::int64_t offset);

/// Rotates queries or keys as the model's forward does. Differentiable.
/// @param x `[batch, heads, seq, head_dim]`, floating
/// @param cos, sin from `cos_sin_table`, in x's dtype
[[nodiscard]] at::Tensor apply_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                                      const rotary_specification& specification);

}  // namespace kvtransfer::rope

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/rope/detail/angles.ipp"  // IWYU pragma: export
#endif
