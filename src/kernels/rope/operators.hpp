#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/rope/lower.hpp"
#include "kernels/rope/pairing_conversion.hpp"
#include "kernels/rope/rotation_launch.hpp"

// The operators for a device whose kernels are given; operators.cpp and operators_cuda.cu register them.

namespace kvtransfer::rope::kernels {

using optional_tensor = std::optional<at::Tensor>;

void rotate_in_place(at::TensorList keys, const rotation_tensors& rotation, rotation_launch launch);
std::vector<at::Tensor> rotate_out_of_place(at::TensorList keys, const rotation_tensors& rotation, rotation_launch launch);
void convert_in_place(at::TensorList keys, std::int64_t window_offset, std::int64_t rotary_dim, bool to_interleaved,
                      pairing_conversion_launch launch);

/// `kvtransfer::rotate_keys_`: every layer is rotated where it lies.
template <rotation_launch launch>
void rotate_keys_(at::TensorList keys, const optional_tensor& from, const optional_tensor& to, std::int64_t delta,
           const optional_tensor& from_inv_freq, const optional_tensor& to_inv_freq, const optional_tensor& stream_of,
           double gain, std::int64_t window_offset, bool interleaved, bool model_faithful) {
  rotate_in_place(
      keys, {from, to, delta, from_inv_freq, to_inv_freq, stream_of, gain, window_offset, interleaved, model_faithful},
      launch);
}

/// `kvtransfer::rotate_blocks_`: some rows of every layer are rotated where they lie.
template <rotation_launch launch>
void rotate_blocks_(at::TensorList keys, const at::Tensor& rows, const optional_tensor& from, const optional_tensor& to,
                std::int64_t delta, const optional_tensor& from_inv_freq, const optional_tensor& to_inv_freq,
                const optional_tensor& stream_of, double gain, std::int64_t window_offset, bool interleaved,
                bool model_faithful) {
  rotate_in_place(
      keys,
      {from, to, delta, from_inv_freq, to_inv_freq, stream_of, gain, window_offset, interleaved, model_faithful, rows},
      launch);
}

/// `kvtransfer::rotate`: rotated copies; elements outside the rotary window are copied as they are.
template <rotation_launch launch>
std::vector<at::Tensor> rotate_keys(at::TensorList keys, const optional_tensor& from, const optional_tensor& to,
                             std::int64_t delta, const optional_tensor& from_inv_freq,
                             const optional_tensor& to_inv_freq, const optional_tensor& stream_of, double gain,
                             std::int64_t window_offset, bool interleaved, bool model_faithful) {
  return rotate_out_of_place(
      keys, {from, to, delta, from_inv_freq, to_inv_freq, stream_of, gain, window_offset, interleaved, model_faithful},
      launch);
}

/// `kvtransfer::convert_pairing_`: every layer is reordered where it lies.
template <pairing_conversion_launch launch>
void convert_pairing_(at::TensorList keys, std::int64_t window_offset, std::int64_t rotary_dim, bool to_interleaved) {
  convert_in_place(keys, window_offset, rotary_dim, to_interleaved, launch);
}

}  // namespace kvtransfer::rope::kernels
