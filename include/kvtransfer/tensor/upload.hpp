#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

// Small lists on their way to a GPU. From pinned memory a copy joins the stream and nobody waits for it; torch keeps the
// memory until it has happened.

namespace kvtransfer {

/// An uninitialized tensor on the host, to be filled for `uploaded`.
inline at::Tensor upload_buffer(at::IntArrayRef sizes, at::ScalarType dtype, at::Device device) {
  return at::empty(sizes, at::TensorOptions().dtype(dtype).pinned_memory(device.is_cuda()));
}

/// `buffer` on `device`.
inline at::Tensor uploaded(const at::Tensor& buffer, at::Device device) {
  return device.is_cpu() ? buffer : buffer.to(device, buffer.scalar_type(), /*non_blocking=*/true);
}

}  // namespace kvtransfer
