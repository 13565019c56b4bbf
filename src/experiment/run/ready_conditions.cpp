#include "experiment/run/ready_conditions.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <utility>

#include "experiment/named_errors.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/condition_point.hpp"  // IWYU pragma: keep (any_condition.hpp declares it only)
#include "kvtransfer/experiment/suite_prompts.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "model/plan_checks.hpp"

namespace kvtransfer::detail {

namespace {

/// @throws value_error if a condition may need positions that the model doesn't have
void require_positions(const any_condition& condition, const test_case& test, const prompt_ids& prompts,
                       const run_settings& settings, const causal_lm& model) {
  const std::optional<std::int64_t> known = position_limit(model.config);
  const std::int64_t needed =
      naming(place_of(test, condition), [&] { return condition.tokens_needed(prompts, settings.max_new_tokens); });
  if (known && needed > *known) {
    fail<value_error>(settings.suite, place_of(test, condition),
                      fmt::format("at most {} tokens in front of the answer (max_position_embeddings = {})", *known,
                                  model.config.max_position_embeddings),
                      fmt::format("{} ({} of the source, {} of the target, max_new_tokens = {})", needed,
                                  count_of(prompts.head), count_of(prompts.tail), settings.max_new_tokens));
  }
}

void require_valid(const run_settings& settings) {
  require<value_error>(settings.trials > 0, "trials", "number", "1 or more", fmt::format("{}", settings.trials));
  require<value_error>(settings.max_new_tokens > 0, "max_new_tokens", "number", "1 or more",
                       fmt::format("{}", settings.max_new_tokens));
}

/// How a condition's prompts become tokens: as the run has them, unless the condition names a form of its own.
prompt_encoding encoding_for(const any_condition& condition, const prompt_encoding& encoding) {
  const auto point = condition.point();
  prompt_encoding own = encoding;
  if (point != nullptr && point->prompt_form == "raw") {
    own.chat.reset();
  } else if (point != nullptr && point->prompt_form == "chat") {
    require<value_error>(own.chat.has_value(), "conditions", condition.describe().id,
                         "a run whose prompts have a chat form (--prompt-form chat)", "raw prompts");
  }
  return own;
}

}  // namespace

std::vector<ready_condition> with_prompts(const causal_lm& model, const prompt_encoding& encoding,
                                          const std::vector<any_condition>& conditions, const results& run) {
  std::vector<ready_condition> ready;
  for (const any_condition& condition : conditions) {
    const prompt_encoding own = encoding_for(condition, encoding);
    suite_prompts suite{&model, {}, &encoding.tokens};
    for (const test_record& test : run.tests) {
      suite.tests.push_back(encode_prompts(own, test.test));
    }
    any_condition bound = condition.within(suite);
    ready.push_back({std::move(bound), std::move(suite.tests)});
  }
  return ready;
}

std::string place_of(const test_case& test, const any_condition& condition) {
  return fmt::format("test {} under {}", test.name, condition.describe().id);
}

std::optional<std::string> why_not_applicable(const test_case& test, const any_condition& condition,
                                              const prompt_ids& prompts) {
  return naming(place_of(test, condition), [&] { return condition.not_applicable(prompts); });
}

std::vector<ready_condition> checked_conditions(const causal_lm& model, const prompt_encoding& encoding,
                                                const std::vector<any_condition>& conditions, const results& run) {
  require_valid(run.settings);
  std::vector<ready_condition> ready = with_prompts(model, encoding, conditions, run);
  for (std::size_t t = 0; t < run.tests.size(); ++t) {
    for (const ready_condition& each : ready) {
      if (!why_not_applicable(run.tests[t].test, each.condition, each.prompts[t])) {
        require_positions(each.condition, run.tests[t].test, each.prompts[t], run.settings, model);
      }
    }
  }
  return ready;
}

}  // namespace kvtransfer::detail
