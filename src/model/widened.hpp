#pragma once

#include "kvtransfer/model/causal_lm.hpp"

namespace kvtransfer::detail {

/// The model with its weights in a wider type, float32 or, for float32, float64; quantized ones are brought back.
[[nodiscard]] causal_lm widened(const causal_lm& model);

}  // namespace kvtransfer::detail
