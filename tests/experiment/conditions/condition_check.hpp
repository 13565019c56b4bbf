#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/experiment/concepts.hpp"
#include "kvtransfer/experiment/prompt_caches.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/model/generate.hpp"
#include "support/small_model.hpp"

namespace kvtransfer::test {

constexpr std::int64_t sample_bos = 1;

inline std::vector<std::int64_t> sample_source() { return some_tokens(7, 3); }
inline std::vector<std::int64_t> sample_target() { return some_tokens(5, 8); }

/// Prompts of seven and five tokens.
inline prompt_ids sample_prompts(std::optional<std::int64_t> bos = sample_bos) {
  return raw_prompts(bos ? std::vector<std::int64_t>{*bos} : std::vector<std::int64_t>{}, sample_source(),
                     sample_target());
}

/// The same prompts in a chat format that writes two tokens in front of the user's text and one behind it.
inline prompt_ids sample_chat(std::optional<std::int64_t> bos = sample_bos) {
  prompt_ids prompts = sample_prompts(bos);
  const prompt_part begin{token_role::format, some_tokens(2, 21)};
  prompts.opening.push_back(begin);
  prompts.head.insert(prompts.head.end() - 1, begin);
  prompts.tail.push_back({token_role::format, some_tokens(1, 22)});
  return prompts;
}

/// BOS, then the lists one after the other.
inline std::vector<std::int64_t> text_of(std::initializer_list<std::vector<std::int64_t>> pieces) {
  std::vector<std::int64_t> text = {sample_bos};
  for (const std::vector<std::int64_t>& piece : pieces) {
    text = joined(text, piece);
  }
  return text;
}

/// What the model says after reading a text without any injection.
inline std::vector<std::int64_t> said_after(const causal_lm& model, const std::vector<std::int64_t>& text,
                                            const generation_config& settings) {
  return generate(model, plan_of({text}), settings).sequences.front().token_ids;
}

/// What a condition has the model read, of caches made for it alone.
inline prepared_input prepared(const Condition auto& condition, const causal_lm& model, const prompt_ids& prompts,
                               const generation_config& settings = {}) {
  prompt_caches caches(model);
  return condition.prepare(caches, prompts, settings);
}

/// What the model says under a condition.
inline std::vector<std::int64_t> said_under(const Condition auto& condition, const causal_lm& model,
                                            const prompt_ids& prompts, const generation_config& settings) {
  return generate(model, prepared(condition, model, prompts, settings).input, settings).sequences.front().token_ids;
}

/// Whether a prepared input's parts count what its plan holds.
inline bool parts_fit_plan(const prepared_input& read) {
  std::int64_t injected = 0;
  for (const sequence_part& part : read.parts) {
    injected += part.injected ? part.tokens : 0;
  }
  const bool none = read.input.layers.empty();
  return injected == (none ? 0 : read.input.injected(0)) && length_of(read.parts) == injected + read.input.size();
}

/// A condition of somebody else's: the target twice.
struct target_twice {
  condition_description describe() const {
    condition_description description;
    description.id = "target_twice";
    return description;
  }
  std::optional<std::string> not_applicable(const prompt_ids&) const { return std::nullopt; }
  std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t) const { return 2 * count_of(prompts.tail); }
  prepared_input prepare(prompt_caches&, const prompt_ids& prompts, const generation_config&) const {
    return {plan_of({joined(ids_of(prompts.tail), ids_of(prompts.tail))}),
            joined(parts_of(prompts.tail, false), parts_of(prompts.tail, false))};
  }
};

}  // namespace kvtransfer::test
