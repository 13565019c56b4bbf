#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/session.hpp"
#include "kvtransfer/model/stop_reason.hpp"

namespace kvtransfer {

/// How text is continued.
struct generation_config {
  std::int64_t max_new_tokens = 40;              ///< per sequence
  double temperature = 0;                        ///< 0: greedy
  std::vector<std::uint64_t> seeds = {0};        ///< one per sequence, or one for all; unused when greedy
  std::vector<std::int64_t> eos_token_ids = {};  ///< each ends its sequence

  friend auto operator<=>(const generation_config&, const generation_config&) = default;
};

/// One sequence's continuation.
struct completion {
  std::vector<std::int64_t> token_ids;       ///< the end-of-text token left out
  std::vector<float> top2_margins;           ///< one per choice, the end-of-text token's included
  std::int64_t close_calls = 0;              ///< choices that rounding may have decided: see `is_close`
  stop_reason stop = stop_reason::length;    ///< why it ended
  std::optional<std::int64_t> eos_token_id;  ///< which one ended the sequence
};

/// Continues every sequence of a session that has read its plan. The last token chosen is not read: afterwards the
/// session holds what transformers' `generate` leaves in its cache.
/// @throws value_error, shape_error on settings that do not fit
std::vector<completion> generate(const causal_lm& model, session& running, const generation_config& settings);

/// The continuations, one per sequence of the batch, and the session that made them.
struct generation_output {
  std::vector<completion> sequences;  ///< in the plan's order
  session running;                    ///< has read all but the last token chosen: step on, or release its cache
};

/// Reads a plan and continues its sequences. @throws what `session` and `generate` throw
[[nodiscard]] generation_output generate(const causal_lm& model, const plan& input, const generation_config& settings);

/// The cache of a text and nothing else: what a prompt leaves before anything is generated.
/// @param token_ids one list per text, from position 0
[[nodiscard]] cache prefill(const causal_lm& model, std::vector<std::vector<std::int64_t>> token_ids);

}  // namespace kvtransfer
