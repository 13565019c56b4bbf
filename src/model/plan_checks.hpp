#pragma once

#include <cstdint>
#include <vector>

#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"

namespace kvtransfer::detail {

/// @throws value_error if a token would stand at a position that the model does not know
void require_positions_known(const model_config& config, const position_map& positions);

/// @throws value_error if a token is not in the vocabulary
void require_tokens_known(const model_config& config, const std::vector<std::vector<std::int64_t>>& rows);

/// Everything that a runner of plans asks for before it begins: what passes here, every runner takes, and what does
/// not, every runner refuses in the same words. Keys must be such as `model` reads as its own; a segment with an
/// assumed frame is taken at its word about that.
/// @throws frame_error, shape_error, device_error, value_error
void require_runnable(const causal_lm& model, const plan& input);

}  // namespace kvtransfer::detail
