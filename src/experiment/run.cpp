#include "kvtransfer/experiment/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "experiment/named_errors.hpp"
#include "experiment/oracle_reference.hpp"
#include "experiment/trial.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/condition_point.hpp"
#include "kvtransfer/experiment/prompt_caches.hpp"
#include "kvtransfer/experiment/suite_prompts.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"

namespace kvtransfer {

namespace {

generation_config generation_settings_of(const run_settings& settings, const causal_lm& model) {
  generation_config generation;
  generation.max_new_tokens = settings.max_new_tokens;
  generation.temperature = settings.temperature;
  generation.eos_token_ids = model.config.eos_token_ids;  // none where its files name none, as in transformers
  return generation;
}

/// Where a condition that throws was at work.
std::string place_of(const test_case& test, const any_condition& condition) {
  return fmt::format("test {} under {}", test.name, condition.describe().id);
}

/// @throws value_error if a condition may need positions that the model doesn't have
void require_positions(const any_condition& condition, const test_case& test, const prompt_ids& prompts,
                       const run_settings& settings, const causal_lm& model) {
  const std::optional<std::int64_t> known = position_limit(model.config);
  const std::int64_t needed = detail::naming(place_of(test, condition),
                                             [&] { return condition.tokens_needed(prompts, settings.max_new_tokens); });
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

std::optional<std::string> why_not_applicable(const test_case& test, const any_condition& condition,
                                              const prompt_ids& prompts) {
  return detail::naming(place_of(test, condition), [&] { return condition.not_applicable(prompts); });
}

/// A condition that knows its suite, and the prompts of its tests.
struct ready_condition {
  any_condition condition;
  std::vector<prompt_ids> prompts;
};

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

std::vector<ready_condition> made_ready(const causal_lm& model, const prompt_encoding& encoding,
                                        const std::vector<any_condition>& conditions, const results& run) {
  std::vector<ready_condition> ready;
  for (const any_condition& condition : conditions) {
    const prompt_encoding own = encoding_for(condition, encoding);
    suite_prompts suite{&model, {}};
    for (const test_record& test : run.tests) {
      suite.tests.push_back(encode_prompts(own, test.test));
    }
    any_condition bound = condition.within(suite);
    ready.push_back({std::move(bound), std::move(suite.tests)});
  }
  return ready;
}

/// Everything that the trials of a run share.
struct running_experiment {
  prompt_caches& caches;
  const prompt_encoding& encoding;
  generation_config generation;
  journal* finished;  ///< null where trials are kept in memory alone
  const progress_callback& report;
  run_progress progress;

  /// What the trials of the test at hand are measured along, by their prompts; made when the first of them runs.
  std::map<std::vector<std::int64_t>, std::optional<detail::oracle_reference>> oracles;

  trial_record run(const any_condition& condition, const test_case& test, const prompt_ids& prompts,
                   std::uint64_t seed) {
    const auto [found, is_new] = oracles.try_emplace(ids_of(prompts.whole()));
    if (is_new) {
      found->second = detail::read_oracle(caches.model(), encoding, test, prompts, generation);
    }
    return detail::run_trial(caches, encoding.tokens, condition, test, prompts, generation, seed, found->second);
  }

  /// All trials of a test under a condition: from the journal where it has them, else run and kept there.
  condition_record record(const any_condition& condition, const test_case& test, const prompt_ids& prompts,
                          const run_settings& settings) {
    condition_record record{condition.describe().id, why_not_applicable(test, condition, prompts), {}};
    for (std::int64_t i = 0; i < settings.trials && !record.not_applicable; ++i) {
      const trial_key key{test.name, record.id, i};
      const trial_record* kept = finished == nullptr ? nullptr : finished->find(key);
      if (kept != nullptr) {
        record.trials.push_back(*kept);
      } else {
        const std::uint64_t seed = settings.seed + static_cast<std::uint64_t>(i);
        record.trials.push_back(
            detail::naming(place_of(test, condition), [&] { return run(condition, test, prompts, seed); }));
        if (finished != nullptr) {
          finished->append(key, record.trials.back());
        }
      }
      ++progress.done;
      progress.test = test.name;
      progress.condition = record.id;
      if (report) {
        report(progress);
      }
    }
    return record;
  }
};

std::vector<ready_condition> checked(const causal_lm& model, const prompt_encoding& encoding,
                                     const std::vector<any_condition>& conditions, const results& run) {
  require_valid(run.settings);
  std::vector<ready_condition> ready = made_ready(model, encoding, conditions, run);
  for (std::size_t t = 0; t < run.tests.size(); ++t) {
    for (const ready_condition& each : ready) {
      if (!why_not_applicable(run.tests[t].test, each.condition, each.prompts[t])) {
        require_positions(each.condition, run.tests[t].test, each.prompts[t], run.settings, model);
      }
    }
  }
  return ready;
}

void run_all(const causal_lm& model, const prompt_encoding& encoding, const std::vector<any_condition>& conditions,
             results& run, journal* finished, const progress_callback& report) {
  const std::vector<ready_condition> ready = checked(model, encoding, conditions, run);
  prompt_caches caches(model);
  running_experiment running{caches, encoding, generation_settings_of(run.settings, model), finished, report, {}, {}};
  for (std::size_t t = 0; t < run.tests.size(); ++t) {
    running.progress.total += run.settings.trials * std::ranges::count_if(ready, [&](const ready_condition& each) {
                                return !why_not_applicable(run.tests[t].test, each.condition, each.prompts[t]);
                              });
  }
  for (std::size_t t = 0; t < run.tests.size(); ++t) {
    test_record& test = run.tests[t];
    test.conditions.clear();
    running.oracles.clear();
    for (const ready_condition& each : ready) {
      test.conditions.push_back(running.record(each.condition, test.test, each.prompts[t], run.settings));
    }
  }
}

}  // namespace

results planned_run(const suite& tests, const std::vector<any_condition>& conditions, run_settings settings,
                    program_info program, model_info model) {
  results run;
  run.program = std::move(program);
  run.model = std::move(model);
  run.settings = std::move(settings);
  run.suite_name = tests.name;
  run.suite_description = tests.description;
  run.reported_by = tests.reported_by;
  run.suite_digest = digest_of(tests);
  run.metric = tests.metric;
  run.settings.conditions.clear();
  for (const any_condition& condition : conditions) {
    run.conditions.push_back(condition.describe());
    run.settings.conditions.push_back(run.conditions.back().id);
  }
  for (const test_case& test : tests.tests) {
    run.tests.push_back({test, {}});
  }
  return run;
}

std::vector<prompt_ids> checked_prompts(const causal_lm& model, const prompt_encoding& encoding,
                                        const std::vector<any_condition>& conditions, const results& run) {
  static_cast<void>(checked(model, encoding, conditions, run));
  std::vector<prompt_ids> prompts;
  for (const test_record& test : run.tests) {
    prompts.push_back(encode_prompts(encoding, test.test));
  }
  return prompts;
}

void run_experiment(const causal_lm& model, const prompt_encoding& encoding,
                    const std::vector<any_condition>& conditions, results& run, journal& finished,
                    const progress_callback& report) {
  run_all(model, encoding, conditions, run, &finished, report);
}

void run_experiment(const causal_lm& model, const prompt_encoding& encoding,
                    const std::vector<any_condition>& conditions, results& run, const progress_callback& report) {
  run_all(model, encoding, conditions, run, nullptr, report);
}

}  // namespace kvtransfer
