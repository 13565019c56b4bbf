#pragma once

#include <ATen/core/Tensor.h>

#include "kvtransfer/model/sampling.hpp"

namespace kvtransfer::detail {

/// `choose_token` with the draw at hand.
/// @param uniform what is drawn at a temperature above 0
/// @throws value_error if a logit is NaN
[[nodiscard]] token_choice choose_at(const at::Tensor& logits, double temperature, double uniform);

/// @throws value_error in the words of `choose_token`, unless all logits are numbers
void require_numbers(bool numbers);

}  // namespace kvtransfer::detail
