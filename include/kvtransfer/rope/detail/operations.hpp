#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/concatenate_ops.h>
#include <ATen/ops/empty_ops.h>
#include <ATen/ops/stack_ops.h>

#include <algorithm>
#include <cstdint>
#include <vector>

// The few operations that are no methods of a tensor, by ATen's `X_ops.h`: its `X.h` would include the global context,
// which takes longer to compile than all the rest here.

namespace kvtransfer::rope::detail {

/// `tensors` one behind another along axis `dim`.
inline at::Tensor joined(at::TensorList tensors, std::int64_t dim) { return at::_ops::concatenate::call(tensors, dim); }

/// `tensors` side by side along a new axis `dim`.
inline at::Tensor stacked(at::TensorList tensors, std::int64_t dim) { return at::_ops::stack::call(tensors, dim); }

/// A host list as a tensor on `device`.
template <class Scalar>
at::Tensor tensor_of(const std::vector<Scalar>& values, at::ScalarType dtype, at::Device device) {
  const c10::SymInt size = static_cast<std::int64_t>(values.size());
  const at::Tensor tensor =
      at::_ops::empty_memory_format::call(size, dtype, std::nullopt, at::Device(at::kCPU), std::nullopt, std::nullopt);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<Scalar>());
  return device.is_cpu() ? tensor : tensor.to(device);
}

}  // namespace kvtransfer::rope::detail
