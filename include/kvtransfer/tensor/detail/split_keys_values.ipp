#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/split_keys_values.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE keys_and_values split_keys_values(const std::vector<at::Tensor>& joined, std::int64_t axis) {
  keys_and_values halves;
  for (const at::Tensor& tensor : joined) {
    require<shape_error>(tensor.defined() && axis >= 0 && axis < tensor.dim() && tensor.size(axis) == 2,
                         "split_keys_values", "joined", formatted("keys and values on axis {}", axis),
                         [&] { return describe(tensor); });
    halves.keys.push_back(tensor.select(axis, 0));
    halves.values.push_back(tensor.select(axis, 1));
  }
  return halves;
}

}  // namespace kvtransfer
