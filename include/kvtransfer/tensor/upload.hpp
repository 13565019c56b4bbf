#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "kvtransfer/tensor/operations.hpp"

// Small lists on their way to a GPU. From pinned memory a copy joins a stream and nobody waits for it; torch keeps the
// memory until it has happened.

namespace kvtransfer {

namespace detail {

/// The stream that uploads to a GPU run on, one for each and all threads: what is computed there goes on meanwhile.
[[nodiscard]] inline c10::Stream upload_stream(at::Device device) {
  static std::mutex mutex;
  static std::array<std::optional<c10::Stream>, 128> streams;  // DeviceIndex has seven bits
  const std::lock_guard lock(mutex);
  std::optional<c10::Stream>& stream = streams.at(static_cast<std::size_t>(device.index()));
  if (!stream) {
    stream = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
  }
  return *stream;
}

/// `buffer` on a GPU: whatever is queued on the current stream from now on finds it there.
[[nodiscard]] inline at::Tensor uploaded_beside(const at::Tensor& buffer, at::Device device) {
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

}  // namespace detail

/// An uninitialized tensor on the host, to be filled for `uploaded`.
[[nodiscard]] inline at::Tensor upload_buffer(at::IntArrayRef sizes, at::ScalarType dtype, at::Device device) {
  return detail::new_tensor(sizes, at::TensorOptions().dtype(dtype).pinned_memory(device.is_cuda()));
}

/// `buffer` on `device`. A GPU's current stream does not wait for it before what is queued from now on.
[[nodiscard]] inline at::Tensor uploaded(const at::Tensor& buffer, at::Device device) {
  return device.is_cuda() ? detail::uploaded_beside(buffer, device) : device.is_cpu() ? buffer : buffer.to(device);
}

/// A list as a tensor `[n]` on `device`. @param dtype that of `Scalar`
template <class Scalar>
[[nodiscard]] at::Tensor uploaded(const std::vector<Scalar>& list, at::ScalarType dtype, at::Device device) {
  const at::Tensor host = upload_buffer({static_cast<std::int64_t>(list.size())}, dtype, device);
  std::copy(list.begin(), list.end(), host.mutable_data_ptr<Scalar>());
  return uploaded(host, device);
}

}  // namespace kvtransfer
