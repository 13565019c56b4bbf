#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange_ops.h>
#include <ATen/ops/concatenate_ops.h>
#include <ATen/ops/empty_ops.h>
#include <ATen/ops/stack_ops.h>
#include <ATen/ops/zeros_like_ops.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <optional>

// The few operations that are no methods of a tensor, by ATen's `X_ops.h`: its `X.h` includes the global context, which
// takes longer to compile than all the rest here.

namespace kvtransfer::detail {

/// An uninitialized tensor.
[[nodiscard]] inline at::Tensor new_tensor(at::IntArrayRef sizes, const at::TensorOptions& options) {
  return at::_ops::empty_memory_format::call(c10::fromIntArrayRefSlow(sizes),
                                             c10::optTypeMetaToScalarType(options.dtype_opt()), options.layout_opt(),
                                             options.device_opt(), options.pinned_memory_opt(), std::nullopt);
}

/// Zeros in the shape, strides and dtype of `tensor`.
[[nodiscard]] inline at::Tensor zeros_as(const at::Tensor& tensor) {
  return at::_ops::zeros_like::call(tensor, std::nullopt, std::nullopt, std::nullopt, std::nullopt, std::nullopt);
}

/// `tensors` one behind another along axis `dim`.
[[nodiscard]] inline at::Tensor joined(at::TensorList tensors, std::int64_t dim) {
  return at::_ops::concatenate::call(tensors, dim);
}

/// `tensors` side by side along a new axis `dim`.
[[nodiscard]] inline at::Tensor stacked(at::TensorList tensors, std::int64_t dim) {
  return at::_ops::stack::call(tensors, dim);
}

/// `begin`, `begin + 1`, … `end - 1` as int64.
[[nodiscard]] inline at::Tensor counted(std::int64_t begin, std::int64_t end, at::Device device) {
  return at::_ops::arange_start::call(begin, end, at::kLong, std::nullopt, device, std::nullopt);
}

/// `tensor` as `index_copy` takes it: fp8, which it does not know, as bytes; all else as it is.
[[nodiscard]] inline at::Tensor copyable(const at::Tensor& tensor) {
  return c10::isFloat8Type(tensor.scalar_type()) ? tensor.view(at::kByte) : tensor;
}

}  // namespace kvtransfer::detail
