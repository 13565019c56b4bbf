#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

namespace kvtransfer::test {

/// The largest absolute difference of two tensors of one shape.
inline double max_difference(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor difference = a.detach().to(at::kCPU, at::kDouble) - b.detach().to(at::kCPU, at::kDouble);
  return difference.numel() == 0 ? 0 : difference.abs().max().item<double>();
}

}  // namespace kvtransfer::test
