#pragma once

#include "kernels/operator_functions.hpp"
#include "kernels/rope/lower.hpp"
#include "kernels/rope/quantized_rotation.hpp"

// The operator for a device whose kernel is given; quantized_operators.cpp and kernels/operators_cuda.cpp register it.

namespace kvtransfer::rope::kernels {

using kvtransfer::kernels::quantized_layers;
using kvtransfer::kernels::quantized_operator_function;

void rotate_quantized_keys_in_place(const rotation_tensors& rotation, const quantized_layers& keys,
                                    quantized_rotation_launch launch);

/// `kvtransfer::rotate_quantized_keys_`
template <quantized_rotation_launch launch>
void rotate_quantized_keys_(const rotation_tensors& rotation, const quantized_layers& keys) {
  rotate_quantized_keys_in_place(rotation, keys, launch);
}

}  // namespace kvtransfer::rope::kernels
