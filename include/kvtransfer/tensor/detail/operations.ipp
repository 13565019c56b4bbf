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

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE at::Tensor new_tensor(at::IntArrayRef sizes, const at::TensorOptions& options) {
  return at::_ops::empty_memory_format::call(c10::fromIntArrayRefSlow(sizes),
                                             c10::optTypeMetaToScalarType(options.dtype_opt()), options.layout_opt(),
                                             options.device_opt(), options.pinned_memory_opt(), std::nullopt);
}

KVTRANSFER_INLINE at::Tensor zeros_as(const at::Tensor& tensor) {
  return at::_ops::zeros_like::call(tensor, std::nullopt, std::nullopt, std::nullopt, std::nullopt, std::nullopt);
}

KVTRANSFER_INLINE at::Tensor joined(at::TensorList tensors, std::int64_t dim) {
  return at::_ops::concatenate::call(tensors, dim);
}

KVTRANSFER_INLINE at::Tensor stacked(at::TensorList tensors, std::int64_t dim) {
  return at::_ops::stack::call(tensors, dim);
}

KVTRANSFER_INLINE at::Tensor counted(std::int64_t begin, std::int64_t end, at::Device device) {
  return at::_ops::arange_start::call(begin, end, at::kLong, std::nullopt, device, std::nullopt);
}

KVTRANSFER_INLINE at::Tensor copyable(const at::Tensor& tensor) {
  return c10::isFloat8Type(tensor.scalar_type()) ? tensor.view(at::kByte) : tensor;
}

}  // namespace kvtransfer::detail
