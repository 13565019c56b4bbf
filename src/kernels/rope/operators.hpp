#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kernels/operator_functions.hpp"
#include "kernels/rope/lower.hpp"
#include "kernels/rope/pairing_conversion.hpp"
#include "kernels/rope/rotation_launch.hpp"

// The operators for a device whose kernels are given; operators.cpp and kernels/operators_cuda.cpp register them.

namespace kvtransfer::rope::kernels {

using kvtransfer::kernels::operator_function;

void rotate_in_place(const rotation_tensors& rotation, at::TensorList keys, const at::Tensor& blocks,
                     rotation_launch launch);
std::vector<at::Tensor> rotate_out_of_place(const rotation_tensors& rotation, at::TensorList keys,
                                            rotation_launch launch);
void convert_in_place(at::TensorList keys, std::int64_t window_offset, std::int64_t rotary_dim, bool to_interleaved,
                      pairing_conversion_launch launch);

/// `kvtransfer::rotate_keys_`: every layer is rotated where it lies.
template <rotation_launch launch>
void rotate_keys_(const rotation_tensors& rotation, at::TensorList keys) {
  rotate_in_place(rotation, keys, {}, launch);
}

/// `kvtransfer::rotate_blocks_`: some blocks of every layer are rotated where they lie.
template <rotation_launch launch>
void rotate_blocks_(const rotation_tensors& rotation, at::TensorList keys, const at::Tensor& blocks) {
  rotate_in_place(rotation, keys, blocks, launch);
}

/// `kvtransfer::rotate_keys`: rotated copies; elements outside the rotary window are copied as they are.
template <rotation_launch launch>
std::vector<at::Tensor> rotate_keys(const rotation_tensors& rotation, at::TensorList keys) {
  return rotate_out_of_place(rotation, keys, launch);
}

/// `kvtransfer::convert_pairing_`: every layer is reordered where it lies.
template <pairing_conversion_launch launch>
void convert_pairing_(at::TensorList keys, std::int64_t window_offset, std::int64_t rotary_dim, bool to_interleaved) {
  convert_in_place(keys, window_offset, rotary_dim, to_interleaved, launch);
}

}  // namespace kvtransfer::rope::kernels
