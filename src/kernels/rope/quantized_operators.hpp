#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "kernels/rope/lower.hpp"
#include "kernels/rope/quantized_rotation.hpp"

// The operator for a device whose kernel is given; quantized_operators.cpp and quantized_rotation_cuda.cu register it.

namespace kvtransfer::rope::kernels {

using optional_tensor = std::optional<at::Tensor>;

/// The tensors of some layers, as the dispatcher passes them; quantized_operators.cpp describes each.
struct quantized_tensors {
  at::TensorList codes;
  at::TensorList scales;
  at::TensorList minimums;
  at::TensorList errors;
  optional_tensor group_ends;
  optional_tensor held;
  std::int64_t bits = 8;
};

void rotate_quantized_keys_in_place(const quantized_tensors& keys, const rotation_tensors& rotation, quantized_rotation_launch launch);

/// `kvtransfer::rotate_quantized_keys_`
template <quantized_rotation_launch launch>
void rotate_quantized_keys_(at::TensorList codes, at::TensorList scales, at::TensorList minimums, at::TensorList errors,
                     const optional_tensor& group_ends, const optional_tensor& held, std::int64_t bits,
                     const optional_tensor& from, const optional_tensor& to, std::int64_t delta,
                     const optional_tensor& from_inv_freq, const optional_tensor& to_inv_freq,
                     const optional_tensor& stream_of, double gain, std::int64_t window_offset, bool interleaved,
                     bool model_faithful) {
  rotate_quantized_keys_in_place(
      {codes, scales, minimums, errors, group_ends, held, bits},
      {from, to, delta, from_inv_freq, to_inv_freq, stream_of, gain, window_offset, interleaved, model_faithful},
      launch);
}

}  // namespace kvtransfer::rope::kernels
