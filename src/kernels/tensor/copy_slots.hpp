#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "kernels/tensor/slot_copy.hpp"

// The operator for a device whose kernel is given; copy_slots.cpp and kernels/operators_cuda.cpp register it.

namespace kvtransfer::kernels {

using optional_tensor = std::optional<at::Tensor>;

void copy_slots_by(at::TensorList to, at::TensorList from, const optional_tensor& runs, slot_copy_launch launch);

/// `kvtransfer::copy_slots_`
template <slot_copy_launch launch>
void copy_slots_(at::TensorList to, at::TensorList from, const optional_tensor& runs) {
  copy_slots_by(to, from, runs, launch);
}

}  // namespace kvtransfer::kernels
