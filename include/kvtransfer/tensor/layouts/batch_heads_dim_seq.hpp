#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "kvtransfer/tensor/concepts.hpp"

namespace kvtransfer::layouts {

/// Each element of a head as a row over tokens: llama.cpp's transposed values, made for the product with attention
/// weights. Source: llama.cpp, src/llama-kv-cache.cpp, `v_trans`.
struct batch_heads_dim_seq {
  static constexpr std::string_view name = "batch_heads_dim_seq";
  static constexpr std::string_view axes = "[batch, kv_heads, head_dim, seq]";
  at::Tensor view(const at::Tensor& tensor) const { return tensor.transpose(2, 3); }
  at::Tensor arrange(const at::Tensor& canonical) const { return canonical.transpose(2, 3); }
};

static_assert(StridedLayout<batch_heads_dim_seq>);

}  // namespace kvtransfer::layouts
