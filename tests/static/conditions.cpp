// Which types are conditions, and which only look like one.

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>

#include "kvtransfer/experiment/any_condition.hpp"
#include "kvtransfer/experiment/concepts.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"

namespace kvtransfer::test::lookalikes {

using kvtransfer::Condition;

struct own_condition {
  condition_description describe() const;
  std::optional<std::string> not_applicable(const prompt_ids& prompts) const;
  std::int64_t tokens_needed(const prompt_ids& prompts, std::int64_t max_new_tokens) const;
  prepared_input prepare(prompt_caches& caches, const prompt_ids& prompts, const generation_config& settings) const;
};

struct undescribed_condition : own_condition {
  void describe() const;
};

struct condition_without_a_reason : own_condition {
  bool not_applicable(const prompt_ids& prompts) const;
};

struct condition_with_a_plan_alone : own_condition {
  plan prepare(prompt_caches& caches, const prompt_ids& prompts, const generation_config& settings) const;
};

struct changing_condition : own_condition {
  prepared_input prepare(prompt_caches& caches, const prompt_ids& prompts, const generation_config& settings);
};

struct condition_that_runs_the_model_itself : own_condition {
  prepared_input prepare(const causal_lm& model, const prompt_ids& prompts, const generation_config& settings) const;
};

struct condition_that_cannot_be_copied : own_condition {
  condition_that_cannot_be_copied(const condition_that_cannot_be_copied&) = delete;
};

static_assert(Condition<any_condition>);
static_assert(Condition<own_condition>);
static_assert(!Condition<undescribed_condition>);
static_assert(!Condition<condition_without_a_reason>);
static_assert(!Condition<condition_with_a_plan_alone>);
static_assert(!Condition<changing_condition>);
static_assert(!Condition<condition_that_runs_the_model_itself>);
static_assert(!Condition<condition_that_cannot_be_copied>);
static_assert(!Condition<plan>);

static_assert(std::is_convertible_v<own_condition, any_condition>);
static_assert(!std::is_convertible_v<changing_condition, any_condition>);
static_assert(!std::is_constructible_v<any_condition, int>);

}  // namespace kvtransfer::test::lookalikes
