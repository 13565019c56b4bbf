#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/sampling.hpp"
#include "kvtransfer/model/session.hpp"
#include "kvtransfer/model/stop_reason.hpp"

namespace kvtransfer {

/// How text is continued.
struct generation_config {
  std::int64_t max_new_tokens = 40;
  double temperature = 0;                        ///< 0: greedy
  std::vector<std::uint64_t> seeds = {0};        ///< one per row, or one for all of them; unused when greedy
  std::vector<std::int64_t> eos_token_ids = {};  ///< each ends its row
};

/// One row's continuation.
struct completion {
  std::vector<std::int64_t> token_ids;  ///< the end-of-text token left out
  std::vector<float> top2_margins;      ///< one per choice, the end-of-text token's included
  stop_reason stop = stop_reason::length;
  std::optional<std::int64_t> eos_token_id;  ///< which one ended the row
};

namespace detail {

inline void require_valid(const generation_config& settings, std::int64_t batch) {
  require<value_error>(settings.max_new_tokens >= 0, "generate", "max_new_tokens", "0 or more",
                       fmt::format("{}", settings.max_new_tokens));
  require<value_error>(std::isfinite(settings.temperature) && settings.temperature >= 0, "generate", "temperature",
                       "finite, 0 or more", fmt::format("{}", settings.temperature));
  const auto seeds = static_cast<std::int64_t>(settings.seeds.size());
  require<shape_error>(seeds == 1 || seeds == batch, "generate", "seeds", fmt::format("1 or {}", batch),
                       fmt::format("{}", seeds));
}

/// Chooses the next token of one row, records it, and returns it if the row goes on.
inline std::optional<std::int64_t> extend_row(completion& row, const at::Tensor& logits,
                                              const generation_config& settings, std::uint64_t seed,
                                              std::int64_t step) {
  const token_choice choice = choose_token(logits, settings.temperature, seed, static_cast<std::uint64_t>(step));
  row.top2_margins.push_back(choice.top2_margin);
  const auto& eos = settings.eos_token_ids;
  if (std::find(eos.begin(), eos.end(), choice.token_id) != eos.end()) {
    row.stop = stop_reason::eos;
    row.eos_token_id = choice.token_id;
    return std::nullopt;
  }
  row.token_ids.push_back(choice.token_id);
  return choice.token_id;
}

}  // namespace detail

/// Continues every row of a session that has read its plan. The last token chosen is not fed: afterwards the session
/// holds what transformers' `generate` leaves in its cache.
/// @throws value_error, shape_error on settings that do not fit
inline std::vector<completion> generate(const causal_lm& model, session& running, const generation_config& settings) {
  detail::require_valid(settings, running.batch());
  const auto batch = static_cast<std::size_t>(running.batch());
  std::vector<completion> rows(batch);
  std::vector<std::optional<std::int64_t>> next(batch, 0);
  for (std::int64_t step = 0; step < settings.max_new_tokens; ++step) {
    const at::Tensor logits = running.logits().to(at::kCPU, at::kFloat);
    for (std::size_t b = 0; b < batch; ++b) {
      const std::uint64_t seed = settings.seeds[settings.seeds.size() == 1 ? 0 : b];
      next[b] = next[b] ? detail::extend_row(rows[b], logits[static_cast<std::int64_t>(b)], settings, seed, step)
                        : std::nullopt;
    }
    for (std::size_t b = 0; b < batch; ++b) {
      const bool at_the_end = running.next_positions()[b] >= model.config.max_position_embeddings;
      next[b] = at_the_end ? std::nullopt : next[b];
    }
    const bool all_done = std::none_of(next.begin(), next.end(), [](const auto& token) { return token.has_value(); });
    if (all_done || step + 1 == settings.max_new_tokens) {
      break;
    }
    running.step(next);
  }
  return rows;
}

/// A continuation and the cache it left behind.
struct generation_output {
  std::vector<completion> rows;
  cache kv;
};

/// Reads a plan and continues its rows. @throws what `session` and `generate` throw
inline generation_output generate(const causal_lm& model, const plan& input, const generation_config& settings) {
  session running(model, input, std::max<std::int64_t>(settings.max_new_tokens, 0));
  std::vector<completion> rows = generate(model, running, settings);
  return {std::move(rows), std::move(running).release()};
}

/// The cache of a text and nothing else: what a prompt leaves before anything is generated.
/// @param token_ids one row per text, from position 0
inline cache prefill(const causal_lm& model, std::vector<std::vector<std::int64_t>> token_ids) {
  return session(model, plan_of(std::move(token_ids))).release();
}

}  // namespace kvtransfer
