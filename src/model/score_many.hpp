#pragma once

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate_many.hpp"

namespace kvtransfer::detail {

/// A continuation to be looked at behind a plan of one sequence.
struct scored_plan {
  plan input;                              ///< of one sequence
  std::vector<std::int64_t> continuation;  ///< tokens, one at least
};

/// Takes logits `[seq, vocab_size]` in front of each token of a continuation, in the dtype in which they were computed
/// or wider, as memory that serves other plans too.
/// @param index the plan's
using logits_sink = std::function<void(std::size_t index, const at::Tensor& logits)>;

/// `next_token_logits` of many plans, not widened, as many in one pass as memory holds; without gradients. What a plan
/// gives does not depend on the others, but for the rounding of sums in another order.
/// @param found called once a plan; in which order is not said
/// @param how its memory counts, and `after_steps` is called between passes
/// @throws what `next_token_logits` throws; out_of_memory_error
void score_many(const causal_lm& model, const std::vector<scored_plan>& plans, const logits_sink& found,
                const batching& how = {});

}  // namespace kvtransfer::detail
