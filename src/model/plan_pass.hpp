#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>

#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "model/attention.hpp"
#include "model/shared_prefix.hpp"

namespace kvtransfer::detail {

/// What one layer of a pass attends with: rotated queries `[batch, q_heads, queries, head_dim]`, and keys in three
/// parts.
struct layer_attention {
  std::int64_t layer;                  ///< index
  const attention_specification& how;  ///< the layer's
  const at::Tensor& q;                 ///< of the plan's tokens
  const at::Tensor& k;                 ///< `[batch, kv_heads, queries, head_dim]`, of the plan's tokens alone
  const at::Tensor& v;                 ///< likewise
  const shared_prefix& prefix;         ///< what every sequence has in front
  const at::Tensor& keys;              ///< what stands behind that: the other segments, then `k`
  const visible_keys& seen;            ///< of prefix and keys together
};

/// Called once a layer, in order, before its attention.
using attention_observer = std::function<void(const layer_attention&)>;

/// One past the largest position of a plan's tokens.
[[nodiscard]] std::int64_t reach_of(const plan& input);

/// Normed hidden states `[batch, seq, hidden_size]` of a plan's tokens in one pass, differentiable.
/// @throws what `require_runnable` throws
[[nodiscard]] at::Tensor plan_states(const causal_lm& model, const plan& input, const attention_observer& observe = {});

}  // namespace kvtransfer::detail
