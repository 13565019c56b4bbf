#pragma once

#include <ATen/core/Tensor.h>

#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"

namespace kvtransfer {

/// Logits `[batch, seq, vocab_size]` of a plan's tokens in one pass; differentiable with respect to weights and
/// injected keys and values. Sequences shorter than the longest have padding in front, whose logits mean nothing.
/// @throws frame_error, shape_error, device_error, value_error where the plan does not fit the model
[[nodiscard]] at::Tensor plan_logits(const causal_lm& model, const plan& input);

}  // namespace kvtransfer
