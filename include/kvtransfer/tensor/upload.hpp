#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <cstdint>
#include <vector>

// Small lists on their way to a GPU. From pinned memory a copy joins a stream and nobody waits for it; torch keeps the
// memory until it has happened.

namespace kvtransfer {

namespace detail {

/// The stream that uploads to a GPU run on, one for each and all threads: what is computed there goes on meanwhile.
[[nodiscard]] c10::Stream upload_stream(at::Device device);

/// `buffer` on a GPU: whatever is queued on the current stream from now on finds it there.
[[nodiscard]] at::Tensor uploaded_beside(const at::Tensor& buffer, at::Device device);

}  // namespace detail

/// An uninitialized tensor on the host, to be filled for `uploaded`.
[[nodiscard]] at::Tensor upload_buffer(at::IntArrayRef sizes, at::ScalarType dtype, at::Device device);

/// `buffer` on `device`. A GPU's current stream does not wait for it before what is queued from now on.
[[nodiscard]] at::Tensor uploaded(const at::Tensor& buffer, at::Device device);

/// A list as a tensor `[n]` on `device`. @param dtype that of `Scalar`
template <class Scalar>
[[nodiscard]] at::Tensor uploaded(const std::vector<Scalar>& list, at::ScalarType dtype, at::Device device) {
  const at::Tensor host = upload_buffer({static_cast<std::int64_t>(list.size())}, dtype, device);
  std::copy(list.begin(), list.end(), host.mutable_data_ptr<Scalar>());
  return uploaded(host, device);
}

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/detail/upload.ipp"  // IWYU pragma: export
#endif
