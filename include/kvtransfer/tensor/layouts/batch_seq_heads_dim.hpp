#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "kvtransfer/tensor/concepts.hpp"

namespace kvtransfer::layouts {

/// The layout of flash-attention's dense interface, and of the keys in llama.cpp.
struct batch_seq_heads_dim {
  static constexpr std::string_view name = "batch_seq_heads_dim";
  static constexpr std::string_view axes = "[batch, seq, kv_heads, head_dim]";
  at::Tensor view(const at::Tensor& tensor) const { return tensor.transpose(1, 2); }
  at::Tensor arrange(const at::Tensor& canonical) const { return canonical.transpose(1, 2); }
};

static_assert(StridedLayout<batch_seq_heads_dim>);

}  // namespace kvtransfer::layouts
