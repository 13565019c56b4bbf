#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/upload.hpp"

namespace kvtransfer {

/// The elements of an integer list, on the host.
/// @param list int32 or int64 `[n]`, any device
/// @throws shape_error for any other tensor
[[nodiscard]] inline std::vector<std::int64_t> host_integers(const at::Tensor& list, std::string_view where,
                                                             std::string_view what) {
  require<shape_error>(
      list.defined() && list.dim() == 1 && (list.scalar_type() == at::kLong || list.scalar_type() == at::kInt), where,
      what, "int32 or int64 [n]", [&] { return describe(list); });
  const at::Tensor host = list.to(at::kCPU, at::kLong).contiguous();
  const std::int64_t* first = host.const_data_ptr<std::int64_t>();
  return {first, first + host.numel()};
}

/// int64 `[n]` on `device`.
[[nodiscard]] inline at::Tensor integer_tensor(const std::vector<std::int64_t>& list, at::Device device) {
  return uploaded(list, at::kLong, device);
}

}  // namespace kvtransfer
