#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/model/causal_lm.hpp"

namespace kvtransfer {

/// How alike two caches are to a text that is read behind them: the cosine of what attention gives behind one and
/// behind the other, head by head, with the queries that the text has behind `expected`. So each layer is measured for
/// itself, whatever the layers in front of it make of the other cache. 1: the same direction.
/// @param expected, other `[batch 1, kv_heads, slots, head_dim]` in each layer, as many slots in both
/// @param text read behind `expected`, one token or more
/// @return `[layers, q_heads]`, fp32 (double of a model in double), the mean over the text's tokens; differentiable
/// @throws shape_error for caches of several sequences, or of other layers, heads or slots; what `plan_logits` throws
/// Source: what arXiv 2608.03893 found to go with the share of a model's answers that a projected cache keeps.
[[nodiscard]] at::Tensor attention_cosine(const causal_lm& model, const cache_view<>& expected,
                                          const cache_view<>& other, const std::vector<std::int64_t>& text);

}  // namespace kvtransfer
