#include "kvtransfer/model/generate.hpp"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/sampling.hpp"

namespace kvtransfer {

namespace {

void require_valid(const generation_config& settings, std::int64_t batch) {
  require<value_error>(settings.max_new_tokens >= 0, "generate", "max_new_tokens", "0 or more",
                       fmt::format("{}", settings.max_new_tokens));
  require<value_error>(std::isfinite(settings.temperature) && settings.temperature >= 0, "generate", "temperature",
                       "finite, 0 or more", fmt::format("{}", settings.temperature));
  const auto seeds = static_cast<std::int64_t>(settings.seeds.size());
  require<shape_error>(seeds == 1 || seeds == batch, "generate", "seeds", fmt::format("1 or {}", batch),
                       fmt::format("{}", seeds));
}

/// Chooses the next token of one sequence, records it, and returns it if the sequence goes on.
std::optional<std::int64_t> extend(completion& sequence, const at::Tensor& logits, const generation_config& settings,
                                   std::uint64_t seed, std::int64_t step) {
  const token_choice choice = choose_token(logits, settings.temperature, seed, static_cast<std::uint64_t>(step));
  sequence.top2_margins.push_back(choice.top2_margin);
  const auto& eos = settings.eos_token_ids;
  if (std::find(eos.begin(), eos.end(), choice.token_id) != eos.end()) {
    sequence.stop = stop_reason::eos;
    sequence.eos_token_id = choice.token_id;
    return std::nullopt;
  }
  sequence.token_ids.push_back(choice.token_id);
  return choice.token_id;
}

}  // namespace

std::vector<completion> generate(const causal_lm& model, session& running, const generation_config& settings) {
  require_valid(settings, running.batch());
  const auto batch = static_cast<std::size_t>(running.batch());
  const std::optional<std::int64_t> limit = position_limit(model.config);
  std::vector<completion> sequences(batch);
  std::vector<std::optional<std::int64_t>> next(batch, 0);
  for (std::int64_t step = 0; step < settings.max_new_tokens; ++step) {
    const at::Tensor logits = running.logits().to(at::kCPU, at::kFloat);
    for (std::size_t b = 0; b < batch; ++b) {
      const std::uint64_t seed = settings.seeds[settings.seeds.size() == 1 ? 0 : b];
      next[b] =
          next[b] ? extend(sequences[b], logits[static_cast<std::int64_t>(b)], settings, seed, step) : std::nullopt;
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
