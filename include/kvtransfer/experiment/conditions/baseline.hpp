#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "kvtransfer/experiment/concepts.hpp"
#include "kvtransfer/experiment/conditions/parts.hpp"

namespace kvtransfer::conditions {

/// The target prompt alone: what the model says by itself.
struct baseline {
  condition_description describe() const {
    condition_description description;
    description.id = "baseline";
    description.title = "Baseline";
    description.injected = "nothing; BOS and the target are fed";
    description.tells = "the control: what the model generates without the source";
    return description;
  }

  std::optional<std::string> not_applicable(const prompt_ids&) const { return std::nullopt; }

  std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t) const {
    return bos_count(prompts) + count_of(prompts.target);
  }

  prepared_input prepare(const causal_lm&, const prompt_ids& prompts, const generation_config&) const {
    return {plan_of({begun_text(prompts, prompts.target)}),
            begun_parts(prompts, token_role::target, count_of(prompts.target), false)};
  }
};

static_assert(Condition<baseline>);

}  // namespace kvtransfer::conditions
