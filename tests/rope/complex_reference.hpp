#pragma once

#include <ATen/core/Tensor.h>

#include <complex>
#include <cstdint>
#include <functional>

#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::test {

/// RoPE written a second time, sharing nothing with the library: every pair is one complex number, multiplied by
/// gain·exp(i·angle) in double.
/// @param keys `[batch, kv_heads, seq, head_dim]`, any floating dtype
/// @param angle radians that pair `pair` of the token at (batch, head, token) rotates by
/// @return float64
inline at::Tensor rotated_as_complex(
    const at::Tensor& keys, const rotary_specification& specification, double gain,
    const std::function<double(std::int64_t batch, std::int64_t head, std::int64_t token, std::int64_t pair)>& angle) {
  at::Tensor rotated = keys.detach().to(at::kDouble).contiguous().clone();
  auto element = rotated.accessor<double, 4>();
  const std::int64_t pairs = specification.rotary_dim() / 2;
  const bool halves = specification.pairing == rope::pairing::half_split;
  for (std::int64_t b = 0; b < rotated.size(0); ++b) {
    for (std::int64_t h = 0; h < rotated.size(1); ++h) {
      for (std::int64_t s = 0; s < rotated.size(2); ++s) {
        for (std::int64_t i = 0; i < pairs; ++i) {
          double& real = element[b][h][s][specification.window_offset + (halves ? i : 2 * i)];
          double& imaginary = element[b][h][s][specification.window_offset + (halves ? pairs + i : 2 * i + 1)];
          const std::complex<double> product =
              std::complex<double>(real, imaginary) * std::polar(gain, angle(b, h, s, i));
          real = product.real();
          imaginary = product.imag();
        }
      }
    }
  }
  return rotated;
}

}  // namespace kvtransfer::test
