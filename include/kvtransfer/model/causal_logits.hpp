#pragma once

#include <ATen/core/Tensor.h>

#include "kvtransfer/model/config.hpp"
#include "kvtransfer/model/weights.hpp"

namespace kvtransfer {

/// Logits `[batch, seq, vocab_size]` of whole texts from position 0 on, without a cache; differentiable.
/// @param token_ids `[batch, seq]`, int64, on the weights' device
/// @throws value_error for texts longer than `position_limit`
[[nodiscard]] at::Tensor causal_logits(const model_config& config, const model_weights& weights,
                                       const at::Tensor& token_ids);

}  // namespace kvtransfer
