#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer::rope::detail {

using kvtransfer::detail::joined;
using kvtransfer::detail::stacked;

/// A host list as a tensor on `device`.
template <class Scalar>
at::Tensor tensor_of(const std::vector<Scalar>& values, at::ScalarType dtype, at::Device device) {
  const at::Tensor tensor = kvtransfer::detail::new_tensor(static_cast<std::int64_t>(values.size()), dtype);
  std::copy(values.begin(), values.end(), tensor.mutable_data_ptr<Scalar>());
  return device.is_cpu() ? tensor : tensor.to(device);
}

}  // namespace kvtransfer::rope::detail
