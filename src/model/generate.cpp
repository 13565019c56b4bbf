#include "kvtransfer/model/generate.hpp"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "model/extend_completion.hpp"

namespace kvtransfer {

std::vector<completion> generate(const causal_lm& model, session& running, const generation_config& settings) {
  detail::require_valid(settings, running.batch());
  const auto batch = static_cast<std::size_t>(running.batch());
  const std::optional<std::int64_t> limit = position_limit(model.config);
  std::vector<completion> sequences(batch);
  std::vector<std::optional<std::int64_t>> next(batch, 0);
  for (std::int64_t step = 0; step < settings.max_new_tokens; ++step) {
    const at::Tensor logits = running.logits().to(at::kCPU, at::kFloat);
    for (std::size_t b = 0; b < batch; ++b) {
      const std::uint64_t seed = settings.seeds[settings.seeds.size() == 1 ? 0 : b];
      next[b] = next[b] ? detail::extend(sequences[b], logits[static_cast<std::int64_t>(b)], settings, seed, step)
                        : std::nullopt;
    }
    if (step + 1 == settings.max_new_tokens) {
      break;
    }
    for (std::size_t b = 0; b < batch; ++b) {
      if (next[b] && limit && running.next_positions()[b] >= *limit) {
        sequences[b].stop = stop_reason::positions;
        next[b] = std::nullopt;
      }
    }
    if (std::none_of(next.begin(), next.end(), [](const auto& token) { return token.has_value(); })) {
      break;
    }
    running.step(next);
  }
  return sequences;
}

generation_output generate(const causal_lm& model, const plan& input, const generation_config& settings) {
  session running(model, input, std::max<std::int64_t>(settings.max_new_tokens, 0));
  std::vector<completion> sequences = generate(model, running, settings);
  return {std::move(sequences), std::move(running)};
}

cache prefill(const causal_lm& model, std::vector<std::vector<std::int64_t>> token_ids) {
  return session(model, plan_of(std::move(token_ids))).release();
}

}  // namespace kvtransfer
