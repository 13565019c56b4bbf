#pragma once

#include <ATen/core/Tensor.h>

#include <concepts>
#include <cstdint>

namespace kvtransfer::detail {

namespace transformer {

/// Fresh queries, keys and values `[batch, heads, seq, head_dim]`, not rotated.
struct projections {
  at::Tensor q, k, v;
};

}  // namespace transformer

/// What one layer's attention does with fresh queries `[batch, q_heads, seq, head_dim]` and rotated keys and values
/// `[batch, kv_heads, seq, head_dim]`: returns the context `[batch, q_heads, seq, head_dim]`. Where else keys come from
/// is its affair.
template <class T>
concept Attention =
    requires(T attention, std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
      { attention(layer, q, k, v) } -> std::same_as<at::Tensor>;
    };

/// The same of what a layer projects its tokens to: it rotates queries and keys itself.
template <class T>
concept ProjectedAttention = requires(T attention, std::int64_t layer, const transformer::projections& fresh) {
  { attention(layer, fresh) } -> std::same_as<at::Tensor>;
};

}  // namespace kvtransfer::detail
