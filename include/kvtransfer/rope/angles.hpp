#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/rope/detail/positions.hpp"
#include "kvtransfer/rope/pairing.hpp"
#include "kvtransfer/rope/specification.hpp"
#include "kvtransfer/tensor/operations.hpp"
#include "kvtransfer/tensor/upload.hpp"

namespace kvtransfer::rope {

/// A rotation of every pair: each `[batch or 1, kv_heads or 1, seq or 1, rotary_dim/2]`.
struct cos_sin {
  at::Tensor cos;  ///< of every pair's angle
  at::Tensor sin;  ///< of every pair's angle
};

/// The angle of every pair at every position, radians, computed in `dtype` from the specification's fp32 frequencies.
/// @param positions `[streams, batch, kv_heads, seq]`, int64, any of the four 1
/// @return `[batch, kv_heads, seq, rotary_dim/2]`
[[nodiscard]] inline at::Tensor angles_at(const rotary_specification& specification, const at::Tensor& positions,
                                          at::ScalarType dtype) {
  const at::Device device = positions.device();
  const at::Tensor inv_freq = uploaded(specification.inv_freq, at::kFloat, device).to(dtype);
  if (specification.stream_of.empty() || positions.size(0) == 1) {
    return positions.select(0, 0).to(dtype).unsqueeze(-1).mul(inv_freq);
  }
  const at::Tensor stream_of = uploaded(specification.stream_of, at::kByte, device).to(at::kLong);
  return positions.index_select(0, stream_of).to(dtype).movedim(0, -1).mul(inv_freq);
}

/// The table that a model's forward multiplies queries and keys by: fp32 angles, fp32 cosines and sines, attention
/// scaling applied in fp32, then one cast, whatever `dtype` is (a float64 model in transformers has fp32 angles too).
/// @param positions int64 `[seq]` or `[streams, batch or 1, heads or 1, seq]`, tokens
/// Source: transformers, LlamaRotaryEmbedding.forward
[[nodiscard]] inline cos_sin cos_sin_table(const rotary_specification& specification, const at::Tensor& positions,
                                           at::ScalarType dtype) {
  const at::Tensor angles =
      angles_at(specification, detail::positions_as_4d(positions, "cos_sin_table", "positions"), at::kFloat);
  const at::Scalar scaling = specification.attention_scaling;
  return {angles.cos().mul_(scaling).to(dtype), angles.sin().mul_(scaling).to(dtype)};
}

/// Rotates the pairs of a rotary window: (a, b) becomes (a·cos − b·sin, b·cos + a·sin). Differentiable.
/// @param window `[batch, heads, seq, rotary_dim]`
[[nodiscard]] inline at::Tensor rotate_window(const at::Tensor& window, const cos_sin& table, pairing pairs) {
  const std::int64_t half = window.size(-1) / 2;
  const auto rotated = [&](const at::Tensor& a, const at::Tensor& b) {
    return std::vector<at::Tensor>{a.mul(table.cos).sub(b.mul(table.sin)), b.mul(table.cos).add(a.mul(table.sin))};
  };
  if (pairs == pairing::half_split) {
    return kvtransfer::detail::joined(rotated(window.narrow(-1, 0, half), window.narrow(-1, half, half)), -1);
  }
  const at::Tensor pair = window.unflatten(-1, {half, 2});
  return kvtransfer::detail::stacked(rotated(pair.select(-1, 0), pair.select(-1, 1)), -1).flatten(-2);
}

/// Puts a rotated window back between the elements of a head that RoPE leaves alone.
/// @param x `[batch, heads, seq, head_dim]`
[[nodiscard]] inline at::Tensor replace_window(const at::Tensor& x, const at::Tensor& window, std::int64_t offset) {
  const std::int64_t end = offset + window.size(-1);
  if (window.size(-1) == x.size(-1)) {
    return window;
  }
  return kvtransfer::detail::joined({x.narrow(-1, 0, offset), window, x.narrow(-1, end, x.size(-1) - end)}, -1);
}

/// Rotates queries or keys as the model's forward does. Differentiable.
/// @param x `[batch, heads, seq, head_dim]`, floating
/// @param cos, sin from `cos_sin_table`, in x's dtype
[[nodiscard]] inline at::Tensor apply_rotary(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                                             const rotary_specification& specification) {
  if (!specification.rotates()) {
    return x;
  }
  const at::Tensor window = x.narrow(-1, specification.window_offset, specification.rotary_dim());
  return replace_window(x, rotate_window(window, {cos, sin}, specification.pairing), specification.window_offset);
}

}  // namespace kvtransfer::rope
