#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <array>
#include <mutex>
#include <optional>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/tensor/operations.hpp"
#include "kvtransfer/tensor/upload.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE c10::Stream upload_stream(at::Device device) {
  static std::mutex mutex;
  static std::array<std::optional<c10::Stream>, 128> streams;  // DeviceIndex has seven bits
  const std::lock_guard lock(mutex);
  std::optional<c10::Stream>& stream = streams.at(static_cast<std::size_t>(device.index()));
  if (!stream) {
    stream = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
  }
  return *stream;
}

KVTRANSFER_INLINE at::Tensor uploaded_beside(const at::Tensor& buffer, at::Device device) {
  const c10::Stream current = c10::impl::VirtualGuardImpl(device.type()).getStream(device);
  const c10::Stream beside = upload_stream(current.device());
  c10::Event arrived(device.type());
  at::Tensor there;
  {
    const c10::StreamGuard guard(beside);
    there = buffer.to(current.device(), buffer.scalar_type(), /*non_blocking=*/true);
    arrived.record(beside);
  }
  arrived.block(current);
  there.record_stream(current);
  return there;
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE at::Tensor upload_buffer(at::IntArrayRef sizes, at::ScalarType dtype, at::Device device) {
  return detail::new_tensor(sizes, at::TensorOptions().dtype(dtype).pinned_memory(device.is_cuda()));
}

KVTRANSFER_INLINE at::Tensor uploaded(const at::Tensor& buffer, at::Device device) {
  return device.is_cuda() ? detail::uploaded_beside(buffer, device) : device.is_cpu() ? buffer : buffer.to(device);
}

}  // namespace kvtransfer
