#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kvtransfer/experiment/concepts.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/experiment/sequence.hpp"
#include "kvtransfer/inject/plan.hpp"

namespace kvtransfer::conditions {

namespace {

struct text_oracle_condition {
  condition_description describe() const {
    condition_description description;
    description.id = "text_oracle";
    description.title = "Text oracle";
    description.injected = "nothing; BOS, the source and the target are fed in one pass";
    description.tells = "what a working transfer must equal";
    return description;
  }

  std::optional<std::string> not_applicable(const prompt_ids&) const { return std::nullopt; }

  std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t) const {
    return bos_count(prompts) + count_of(prompts.source) + count_of(prompts.target);
  }

  prepared_input prepare(const causal_lm&, const prompt_ids& prompts, const generation_config&) const {
    std::vector<std::int64_t> ids = begun_text(prompts, prompts.source);
    ids.insert(ids.end(), prompts.target.begin(), prompts.target.end());
    sequence parts = begun_parts(prompts, token_role::source, count_of(prompts.source), false);
    parts.push_back({token_role::target, count_of(prompts.target), false});
    return {plan_of({std::move(ids)}), std::move(parts)};
  }
};

}  // namespace

any_condition text_oracle() { return text_oracle_condition{}; }

}  // namespace kvtransfer::conditions
