#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace kvtransfer {

/// One tensor per layer for keys and one for values.
struct keys_and_values {
  std::vector<at::Tensor> keys;    ///< one per layer
  std::vector<at::Tensor> values;  ///< one per layer
};

/// The two halves of tensors that hold keys and values together, without a copy.
/// @param joined one tensor per layer, with an axis of two entries: keys, then values
/// @param axis where that axis is: 0 in vLLM's `[2, num_blocks, …]`, 1 in FlashInfer's `[num_blocks, 2, …]`, 2 in
///        flash-attention's `[batch, seq, 2, kv_heads, head_dim]`
/// @throws shape_error where a tensor has no such axis
[[nodiscard]] keys_and_values split_keys_values(const std::vector<at::Tensor>& joined, std::int64_t axis);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/detail/split_keys_values.ipp"  // IWYU pragma: export
#endif
