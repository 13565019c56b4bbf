#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/core/memory_changes.hpp"

namespace kvtransfer {

/// The bytes from the first element of a tensor to its last; nothing for one without elements.
[[nodiscard]] inline memory_range memory_of(const at::Tensor& tensor) {
  if (tensor.numel() == 0) {
    return {};
  }
  std::int64_t last = 0;
  for (std::int64_t axis = 0; axis < tensor.dim(); ++axis) {
    last += (tensor.size(axis) - 1) * tensor.stride(axis);
  }
  const auto begin = reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr());
  return {begin, begin + static_cast<std::uintptr_t>(last + 1) * tensor.element_size()};
}

/// The same of each of several.
[[nodiscard]] inline std::vector<memory_range> memory_of(const std::vector<at::Tensor>& tensors) {
  std::vector<memory_range> all;
  for (const at::Tensor& tensor : tensors) {
    all.push_back(memory_of(tensor));
  }
  return all;
}

}  // namespace kvtransfer
