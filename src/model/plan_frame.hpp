#pragma once

#include <cstdint>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/config.hpp"

namespace kvtransfer::detail {

/// Token rows aligned at their right end like their plan, -1 in front of the shorter ones.
[[nodiscard]] std::vector<std::vector<std::int64_t>> padded_ids(std::vector<std::vector<std::int64_t>> rows);

/// The frame of what a plan injects, its segments side by side; for a plan that injects nothing, one without slots.
/// What the plan hides is padding in it, row by row and head by head. Tokens are known where all layers have as many
/// slots and do not contradict each other; the model, where one has written every key.
/// @param input has passed `require_runnable`
[[nodiscard]] cache_frame injected_frame(const model_config& config, const plan& input);

/// The frame of keys that a model has just written: each layer's rotary specification at `positions`.
/// @param rotary one specification per layer
/// @param token_ids `[batch][seq]`, -1 for padding
[[nodiscard]] cache_frame written_frame(const std::vector<rotary_specification>& rotary, const position_map& positions,
                                        const std::vector<std::vector<std::int64_t>>& token_ids,
                                        const cache_origin& model);

}  // namespace kvtransfer::detail
