#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kvtransfer/core/slot_range.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"

namespace kvtransfer {

/// Whose attention is meant.
enum class attention_queries : std::uint8_t {
  last_token,  ///< that of the plan's last token, which the next one is predicted from
  all_tokens,  ///< the mean over the plan's tokens
};

/// How much of each head's attention falls on some slots: the sum of their weights, between 0 and 1, computed as the
/// model computes it, so that capped scores, windows and hidden slots count as they do there.
///
/// Slots are counted alike in all layers: what is injected from 0 on, then the plan's own tokens, beginning where the
/// layer with the most injected slots ends. So the range of an injected source never reaches into the plan's tokens,
/// and a layer in which nothing is injected gives it nothing.
/// @param input a plan of one sequence
/// @return `[layers, q_heads]`, fp32 (double of a model in double); differentiable
/// @throws shape_error for a plan of several sequences, or a range that reaches past the last slot; what `plan_logits`
///         throws
[[nodiscard]] at::Tensor attention_mass(const causal_lm& model, const plan& input, const slot_range& slots,
                                        attention_queries of = attention_queries::last_token);

}  // namespace kvtransfer
