#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "kvtransfer/tensor/concepts.hpp"

namespace kvtransfer::layouts {

/// The layout of transformers' DynamicCache, and the one in which every operation is defined.
struct batch_heads_seq_dim {
  static constexpr std::string_view name = "batch_heads_seq_dim";
  static constexpr std::string_view axes = "[batch, kv_heads, seq, head_dim]";
  at::Tensor view(const at::Tensor& tensor) const { return tensor; }
  at::Tensor arrange(const at::Tensor& canonical) const { return canonical; }
};

static_assert(StridedLayout<batch_heads_seq_dim>);

}  // namespace kvtransfer::layouts
