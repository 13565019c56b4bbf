#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/complex.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/polar.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/view_as_real.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/tensor/kernel_table.hpp"

namespace kvtransfer::test::kernels {

/// The arguments of the operators `kvtransfer::rotate_keys_` and `kvtransfer::rotate_keys`, all on the CPU.
struct kernel_rotation {
  at::Tensor from = {};  ///< int64 [streams, batch, kv_heads, seq], each axis but the last may be 1
  at::Tensor to = {};
  std::int64_t delta = 0;
  at::Tensor from_inv_freq = {};
  at::Tensor to_inv_freq = {};
  at::Tensor stream_of = {};
  double gain = 1;
  std::int64_t window_offset = 0;
  bool interleaved = false;
  bool model_faithful = false;
};

/// `rotation` for keys on `device`, as the operators take it.
inline detail::rotation_tensors tensors_of(const kernel_rotation& rotation, at::Device device) {
  const auto given = [](const at::Tensor& tensor) { return tensor.defined() ? std::optional(tensor) : std::nullopt; };
  const auto there = [&](const at::Tensor& tensor) {
    return tensor.defined() ? std::optional(tensor.to(device)) : std::nullopt;
  };
  return {there(rotation.from),        there(rotation.to),        rotation.delta, given(rotation.from_inv_freq),
          given(rotation.to_inv_freq), given(rotation.stream_of), rotation.gain,  rotation.window_offset,
          rotation.interleaved,        rotation.model_faithful};
}

inline at::Device device_of(at::TensorList keys) { return keys.empty() ? at::Device(at::kCPU) : keys.front().device(); }

inline std::vector<at::Tensor> rotated_by_kernel(at::TensorList keys, const kernel_rotation& rotation) {
  return detail::kernels()->rotate_keys(tensors_of(rotation, device_of(keys)), keys);
}

inline void rotate_by_kernel(at::TensorList keys, const kernel_rotation& rotation) {
  detail::kernels()->rotate_keys_(tensors_of(rotation, device_of(keys)), keys);
}

/// q * f_to - p * f_from in float64, broadcast to [batch, kv_heads, seq, pairs]; each product rounded to fp32 if
/// model-faithful.
inline at::Tensor angles_in_double(const kernel_rotation& rotation) {
  const auto product = [&](const at::Tensor& positions, const at::Tensor& inv_freq) {
    const at::Tensor streams = rotation.stream_of.defined() && positions.size(0) > 1
                                   ? rotation.stream_of.to(at::kLong)
                                   : at::zeros_like(inv_freq, at::kLong);
    const at::Tensor tokens = positions.index_select(0, streams).permute({1, 2, 3, 0});
    return rotation.model_faithful ? (tokens.to(at::kFloat) * inv_freq).to(at::kDouble)
                                   : tokens.to(at::kDouble) * inv_freq.to(at::kDouble);
  };
  if (!rotation.from.defined() && !rotation.to.defined()) {
    return (rotation.to_inv_freq.to(at::kDouble) * static_cast<double>(rotation.delta)).view({1, 1, 1, -1});
  }
  const at::Tensor target =
      rotation.to.defined() ? product(rotation.to, rotation.to_inv_freq) : at::zeros({1}, at::kDouble);
  return rotation.from.defined() ? target - product(rotation.from, rotation.from_inv_freq) : target;
}

/// The rotation as a multiplication of complex numbers in float64, on the CPU. Shares nothing with the kernels.
inline at::Tensor rotated_in_double(const at::Tensor& keys, const kernel_rotation& rotation) {
  const at::Tensor angles = angles_in_double(rotation);
  const std::int64_t pairs = angles.size(-1);
  at::Tensor rotated = keys.detach().cpu().to(at::kDouble).clone();
  const at::Tensor window = rotated.narrow(-1, rotation.window_offset, 2 * pairs);
  const auto part = [&](std::int64_t which) {
    return rotation.interleaved ? window.slice(-1, which, std::nullopt, 2) : window.narrow(-1, which * pairs, pairs);
  };
  const at::Tensor numbers = at::complex(part(0).contiguous(), part(1).contiguous());
  const at::Tensor product = at::view_as_real(numbers * at::polar(at::zeros_like(angles) + rotation.gain, angles));
  part(0).copy_(product.select(-1, 0));
  part(1).copy_(product.select(-1, 1));
  return rotated;
}

/// theta^(-i / pairs): plain RoPE's frequencies, fp32.
inline at::Tensor plain_frequencies(std::int64_t pairs, double theta = 1e4) {
  return at::pow(theta, at::arange(pairs, at::kDouble) * (-1.0 / static_cast<double>(pairs))).to(at::kFloat);
}

}  // namespace kvtransfer::test::kernels
