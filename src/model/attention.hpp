#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "kvtransfer/model/config.hpp"

namespace kvtransfer::detail {

/// Which keys the queries of one forward pass see.
struct visible_keys {
  /// bool `[batch or 1, q_heads or 1, queries, keys]`; nothing: all, or see `causal`
  std::optional<at::Tensor> mask = {};
  bool causal = false;  ///< without a mask: as many keys as queries, each sees those up to its own
};

/// Attention of queries `[batch, q_heads, queries, head_dim]` to keys and values `[batch, kv_heads, keys, head_dim]`;
/// neighbouring query heads share a KV head. Differentiable. On a GPU torch's choice of cuDNN's attention is suspended
/// for the time of the call, in all threads.
/// @return `[batch, q_heads, queries, head_dim]`
/// Source: transformers, eager_attention_forward of each architecture.
[[nodiscard]] at::Tensor attend(const attention_specification& how, const at::Tensor& q, const at::Tensor& k,
                                const at::Tensor& v, const visible_keys& seen);

/// The weights with which queries `[batch, q_heads, queries, head_dim]` attend to keys `[batch, kv_heads, keys,
/// head_dim]`: what `attend` sums values by. Differentiable.
/// @return `[batch, q_heads, queries, keys]`, fp32 (double of doubles)
[[nodiscard]] at::Tensor attention_weights(const attention_specification& how, const at::Tensor& q, const at::Tensor& k,
                                           const visible_keys& seen);

/// `x`, or with a cap, cap·tanh(x / cap).
[[nodiscard]] at::Tensor capped(const at::Tensor& x, std::optional<double> cap);

/// bool `[1, 1, seq, seq]`: which keys the queries of a text without a cache see.
[[nodiscard]] at::Tensor causal_mask(std::int64_t seq, std::optional<std::int64_t> window, at::Device device);

/// What the queries of a text without a cache see: of `seq` keys those up to their own, the last `window` of them.
[[nodiscard]] visible_keys causal_keys(std::int64_t seq, std::optional<std::int64_t> window, at::Device device);

}  // namespace kvtransfer::detail
