#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "kvtransfer/tensor/concepts.hpp"

namespace kvtransfer::layouts {

/// The layout of transformers' DynamicCache, and the one in which every operation is defined.
struct batch_heads_seq_dim {
  /// What `StridedLayout` asks for.
  /// @{
  static constexpr std::string_view name = "batch_heads_seq_dim";
  static constexpr std::string_view axes = "[batch, kv_heads, seq, head_dim]";
  [[nodiscard]] at::Tensor view(const at::Tensor& tensor) const { return tensor; }
  [[nodiscard]] at::Tensor arrange(const at::Tensor& canonical) const { return canonical; }
  /// @}
};

static_assert(StridedLayout<batch_heads_seq_dim>);

/// The layout of flash-attention's dense interface, and of the keys in llama.cpp.
struct batch_seq_heads_dim {
  /// What `StridedLayout` asks for.
  /// @{
  static constexpr std::string_view name = "batch_seq_heads_dim";
  static constexpr std::string_view axes = "[batch, seq, kv_heads, head_dim]";
  [[nodiscard]] at::Tensor view(const at::Tensor& tensor) const { return tensor.transpose(1, 2); }
  [[nodiscard]] at::Tensor arrange(const at::Tensor& canonical) const { return canonical.transpose(1, 2); }
  /// @}
};

static_assert(StridedLayout<batch_seq_heads_dim>);

/// Each element of a head as a row over tokens: llama.cpp's transposed values, made for the product with attention
/// weights. Source: llama.cpp, src/llama-kv-cache.cpp, `v_trans`.
struct batch_heads_dim_seq {
  /// What `StridedLayout` asks for.
  /// @{
  static constexpr std::string_view name = "batch_heads_dim_seq";
  static constexpr std::string_view axes = "[batch, kv_heads, head_dim, seq]";
  [[nodiscard]] at::Tensor view(const at::Tensor& tensor) const { return tensor.transpose(2, 3); }
  [[nodiscard]] at::Tensor arrange(const at::Tensor& canonical) const { return canonical.transpose(2, 3); }
  /// @}
};

static_assert(StridedLayout<batch_heads_dim_seq>);

/// Keys in one layout and values in another.
template <CacheLayout Keys, CacheLayout Values>
struct separate {
  Keys keys = {};      ///< of the keys' tensor
  Values values = {};  ///< of the values' tensor
};

/// llama.cpp without flash attention: keys token by token, values transposed.
using llama_cpp = separate<batch_seq_heads_dim, batch_heads_dim_seq>;

static_assert(LayerLayout<llama_cpp>);

}  // namespace kvtransfer::layouts
