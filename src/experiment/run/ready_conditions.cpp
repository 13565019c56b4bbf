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

/// Whether a condition's prompts are in the form of a chat: as the run has them, unless the condition names a form.
/// @throws value_error for a form that the run does not have
bool is_chat(const any_condition& condition, const prompt_encoding& encoding) {
  const auto point = condition.point();
  const bool asks_for_chat = point != nullptr && point->prompt_form == "chat";
  require<value_error>(
      encoding.chat.has_value() || !asks_for_chat, "conditions", [&] { return condition.describe().id; },
      "a run whose prompts have a chat form (--prompt-form chat)", "raw prompts");
  return encoding.chat.has_value() && (point == nullptr || point->prompt_form != "raw");
}

}  // namespace

const std::vector<prompt_ids>& encoded_tests::for_condition(const any_condition& condition,
                                                            const prompt_encoding& encoding, const results& run) {
  const bool in_chat = is_chat(condition, encoding);
  const auto made = made_.find(in_chat);
  if (made != made_.end()) {
    return made->second;
  }
  prompt_encoding own = encoding;
  if (!in_chat) {
    own.chat.reset();
  }
  std::vector<prompt_ids> prompts;
  for (const test_record& test : run.tests) {
    prompts.push_back(encode_prompts(own, test.test));
  }
  return made_.emplace(in_chat, std::move(prompts)).first->second;
}

std::vector<ready_condition> with_prompts(const causal_lm& model, const prompt_encoding& encoding,
                                          const std::vector<any_condition>& conditions, const results& run,
                                          encoded_tests& encoded) {
  std::vector<ready_condition> ready;
  for (const any_condition& condition : conditions) {
    suite_prompts suite{&model, encoded.for_condition(condition, encoding, run), &encoding.tokens};
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
                                                const std::vector<any_condition>& conditions, const results& run,
                                                encoded_tests& encoded) {
  require_valid(run.settings);
  std::vector<ready_condition> ready = with_prompts(model, encoding, conditions, run, encoded);
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
