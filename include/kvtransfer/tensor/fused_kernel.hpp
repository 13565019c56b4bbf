#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string_view>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/implementation.hpp"

namespace kvtransfer::detail {

/// The operation `name` as torch's dispatcher knows it, where the kernels' library is loaded.
inline std::optional<c10::OperatorHandle> find_kernel(const char* name) {
  return c10::Dispatcher::singleton().findSchema({name, ""});
}

/// True if `name` is loaded with a kernel for `device`.
inline bool has_kernel(const char* name, at::Device device) {
  const auto kernel = find_kernel(name);
  const c10::DispatchKey key = device.is_cuda() ? c10::DispatchKey::CUDA : c10::DispatchKey::CPU;
  return (device.is_cuda() || device.is_cpu()) && kernel.has_value() && kernel->hasKernelForDispatchKey(key);
}

}  // namespace kvtransfer::detail
