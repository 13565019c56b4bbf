#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/config.hpp"
#include "model/attention.hpp"

namespace kvtransfer::detail {

/// What every sequence of a batch has in front of its own keys in one layer, kept once: a source that `prepend` shows
/// to all of them.
struct shared_prefix {
  std::size_t segments = 0;  ///< how many of the layer's segments it is made of, from the first on
  at::Tensor keys;           ///< `[1, kv_heads, seq, head_dim]`; undefined where nothing is shared
  at::Tensor values;         ///< as `keys`

  /// Slots.
  [[nodiscard]] std::int64_t size() const { return keys.defined() ? keys.size(2) : 0; }
};

/// The longest prefix of a layer's segments in which all sequences have the same keys, which take up storage once.
/// Shares that storage where it is one segment. Nothing where there is no slot in it.
[[nodiscard]] shared_prefix shared_prefix_of(const std::vector<segment>& segments);

/// Attention of queries `[batch, q_heads, queries, head_dim]` to a prefix and, behind it, to keys and values
/// `[batch, kv_heads, keys, head_dim]` of each sequence. Every sequence's queries meet the prefix in one product, so
/// that it is neither copied nor read more than once; without a prefix it is `attend`. Differentiable.
/// @param seen of the prefix and what stands behind it together
/// @return `[batch, q_heads, queries, head_dim]`
[[nodiscard]] at::Tensor attend_behind(const attention_specification& how, const shared_prefix& prefix,
                                       const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                       const visible_keys& seen);

}  // namespace kvtransfer::detail
