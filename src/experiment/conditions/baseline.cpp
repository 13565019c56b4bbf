#include <cstdint>
#include <optional>
#include <string>

#include "kvtransfer/experiment/concepts.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/inject/plan.hpp"

namespace kvtransfer::conditions {

namespace {

struct baseline_condition {
  [[nodiscard]] condition_description describe() const {
    condition_description description;
    description.id = "baseline";
    description.title = "Baseline";
    description.injected = "nothing; the target is fed, behind BOS where the model adds one";
    description.tells = "the control: what the model generates without the source";
    return description;
  }

  [[nodiscard]] std::optional<std::string> not_applicable(const prompt_ids&) const { return std::nullopt; }

  [[nodiscard]] std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t) const {
    return count_of(prompts.alone());
  }

  [[nodiscard]] prepared_input prepare(prompt_caches&, const prompt_ids& prompts, const generation_config&) const {
    return {plan_of({ids_of(prompts.alone())}), parts_of(prompts.alone(), false)};
  }
};

}  // namespace

any_condition baseline() { return baseline_condition{}; }

}  // namespace kvtransfer::conditions
