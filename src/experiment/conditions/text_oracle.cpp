#include <cstdint>
#include <optional>
#include <string>

#include "kvtransfer/experiment/concepts.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/inject/plan.hpp"

namespace kvtransfer::conditions {

namespace {

struct text_oracle_condition {
  [[nodiscard]] condition_description describe() const {
    condition_description description;
    description.id = "text_oracle";
    description.title = "Text oracle";
    description.injected =
        "nothing; the source and the target are fed in one pass, behind BOS where the model adds one";
    description.tells = "what a working transfer must equal";
    return description;
  }

  [[nodiscard]] std::optional<std::string> not_applicable(const prompt_ids&) const { return std::nullopt; }

  [[nodiscard]] std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t) const {
    return count_of(prompts.whole());
  }

  [[nodiscard]] prepared_input prepare(prompt_caches&, const prompt_ids& prompts, const generation_config&) const {
    return {plan_of({ids_of(prompts.whole())}), parts_of(prompts.whole(), false)};
  }
};

}  // namespace

any_condition text_oracle() { return text_oracle_condition{}; }

}  // namespace kvtransfer::conditions
