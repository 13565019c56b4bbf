#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstdint>

// The few operations that are no methods of a tensor, by ATen's `X_ops.h`: its `X.h` includes the global context, which
// takes longer to compile than all the rest here.

namespace kvtransfer::detail {

/// An uninitialized tensor.
[[nodiscard]] at::Tensor new_tensor(at::IntArrayRef sizes, const at::TensorOptions& options);

/// Zeros in the shape, strides and dtype of `tensor`.
[[nodiscard]] at::Tensor zeros_as(const at::Tensor& tensor);

/// `tensors` one behind another along axis `dim`.
[[nodiscard]] at::Tensor joined(at::TensorList tensors, std::int64_t dim);

/// `tensors` side by side along a new axis `dim`.
[[nodiscard]] at::Tensor stacked(at::TensorList tensors, std::int64_t dim);

/// `begin`, `begin + 1`, … `end - 1` as int64.
[[nodiscard]] at::Tensor counted(std::int64_t begin, std::int64_t end, at::Device device);

/// `tensor` as `index_copy` takes it: fp8, which it does not know, as bytes; all else as it is.
[[nodiscard]] at::Tensor copyable(const at::Tensor& tensor);

}  // namespace kvtransfer::detail

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/detail/operations.ipp"  // IWYU pragma: export
#endif
