#include "experiment/conditions/described.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "kvtransfer/experiment/suite_prompts.hpp"

namespace kvtransfer::detail {

namespace {

struct described_condition {
  any_condition condition;
  condition_description named;

  [[nodiscard]] condition_description describe() const { return named; }
  [[nodiscard]] std::optional<std::string> not_applicable(const prompt_ids& prompts) const {
    return condition.not_applicable(prompts);
  }
  [[nodiscard]] std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t max_new_tokens) const {
    return condition.tokens_needed(prompts, max_new_tokens);
  }
  [[nodiscard]] prepared_input prepare(prompt_caches& caches, const prompt_ids& prompts,
                                       const generation_config& settings) const {
    return condition.prepare(caches, prompts, settings);
  }
  [[nodiscard]] described_condition within(const suite_prompts& suite) const {
    return {condition.within(suite), named};
  }
  [[nodiscard]] std::shared_ptr<const condition_point> point() const { return condition.point(); }
  [[nodiscard]] std::string depends_on(const prompt_ids& prompts) const { return condition.depends_on(prompts); }
};

}  // namespace

any_condition described(any_condition condition, condition_description named) {
  return described_condition{std::move(condition), std::move(named)};
}

}  // namespace kvtransfer::detail
