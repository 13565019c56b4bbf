#include "kvtransfer/experiment/run.hpp"

#include <fmt/format.h>

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "experiment/named_errors.hpp"
#include "experiment/oracle_reference.hpp"
#include "experiment/trial.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/condition_point.hpp"  // IWYU pragma: keep (any_condition.hpp declares it only)
#include "kvtransfer/experiment/prompt_caches.hpp"
#include "kvtransfer/experiment/suite_prompts.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/generate_many.hpp"
#include "model/plan_checks.hpp"
#include "model/plan_signature.hpp"

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
    suite_prompts suite{&model, {}, &encoding.tokens};
    for (const test_record& test : run.tests) {
      suite.tests.push_back(encode_prompts(own, test.test));
    }
    any_condition bound = condition.within(suite);
    ready.push_back({std::move(bound), std::move(suite.tests)});
  }
  return ready;
}

/// One trial that has to be run.
struct cell {
  std::size_t test;
  std::size_t condition;
  std::int64_t trial;
};

/// Runs the trials of a run, many at a time.
class running_experiment {
 public:
  running_experiment(const causal_lm& model, const prompt_encoding& encoding, std::vector<ready_condition> conditions,
                     results& run, journal* finished, const progress_callback& report)
      : caches_(model),
        encoding_(encoding),
        conditions_(std::move(conditions)),
        run_(run),
        finished_(finished),
        report_(report),
        generation_(generation_settings_of(run.settings, model)) {}

  void run_all() {
    plan_records();
    const std::vector<cell> waiting = take_finished();
    for (std::size_t begin = 0; begin < waiting.size();) {
      std::size_t end = begin;
      while (end < waiting.size() && end - begin < most_cells && waiting[end].test - waiting[begin].test < most_tests) {
        ++end;
      }
      const auto first = waiting.begin() + static_cast<std::ptrdiff_t>(begin);
      run_cells({first, first + static_cast<std::ptrdiff_t>(end - begin)});
      begin = end;
    }
  }

 private:
  /// Trials, and tests, whose continued prompts and oracles are kept at a time.
  static constexpr std::size_t most_cells = 1024;
  static constexpr std::size_t most_tests = 16;

  /// Trials that are made ready, and measured, together.
  static constexpr std::size_t most_prepared = 128;

  /// What trials of a test under a condition read, and how that compares with the oracle.
  struct measured_plan {
    plan input;
    std::vector<std::int64_t> signature;
    const detail::oracle_reference* oracle = nullptr;  // null where it has no answer
    trial_record trial = {};
  };

  /// A trial that can begin.
  struct prepared_trial {
    cell where;
    generation_request request;
    std::shared_ptr<const measured_plan> measured;
  };

  using oracle_key = std::pair<std::size_t, std::vector<std::int64_t>>;  // test, its prompts in one text

  void plan_records() {
    for (std::size_t t = 0; t < run_.tests.size(); ++t) {
      run_.tests[t].conditions.clear();
      for (const ready_condition& each : conditions_) {
        condition_record record{
            each.condition.describe().id, why_not_applicable(run_.tests[t].test, each.condition, each.prompts[t]), {}};
        if (!record.not_applicable) {
          record.inputs_digest = detail::naming(place_of(run_.tests[t].test, each.condition),
                                                [&] { return each.condition.depends_on(each.prompts[t]); });
        }
        record.trials.resize(record.not_applicable ? 0 : static_cast<std::size_t>(run_.settings.trials));
        progress_.total += static_cast<std::int64_t>(record.trials.size());
        run_.tests[t].conditions.push_back(std::move(record));
      }
    }
  }

  /// Fills in what the journal has. @return the rest
  [[nodiscard]] std::vector<cell> take_finished() {
    std::vector<cell> waiting;
    for (std::size_t t = 0; t < run_.tests.size(); ++t) {
      for (std::size_t c = 0; c < conditions_.size(); ++c) {
        const auto trials = static_cast<std::int64_t>(run_.tests[t].conditions[c].trials.size());
        for (std::int64_t i = 0; i < trials; ++i) {
          const cell where{t, c, i};
          const trial_record* kept = finished_ == nullptr ? nullptr : finished_->find(key_of(where));
          if (kept == nullptr) {
            waiting.push_back(where);
          } else {
            record_of(where) = *kept;
            tell(where);
          }
        }
      }
    }
    return waiting;
  }

  /// Those whose prompts have to be continued first come last, when all of those continuations are made together.
  void run_cells(const std::vector<cell>& cells) {
    measured_.clear();
    ask_oracles(cells);
    caches_.defer_continuations(true);
    const std::vector<cell> deferred = generate_for(cells);
    caches_.defer_continuations(false);
    caches_.make_deferred();
    static_cast<void>(generate_for(deferred));
  }

  /// @return those that wait for a continuation
  [[nodiscard]] std::vector<cell> generate_for(const std::vector<cell>& cells) {
    std::vector<cell> begun;
    std::vector<cell> deferred;
    std::deque<prepared_trial> ready;
    auto next = cells.begin();
    const request_source source = [&]() -> std::optional<generation_request> {
      if (ready.empty()) {
        for (; next != cells.end() && ready.size() < most_prepared; ++next) {
          try {
            ready.push_back(prepared(*next));
          } catch (const continuation_deferred&) {
            deferred.push_back(*next);
          }
        }
        measure(ready);
      }
      if (ready.empty()) {
        return std::nullopt;
      }
      prepared_trial trial = std::move(ready.front());
      ready.pop_front();
      begun.push_back(trial.where);
      return std::move(trial.request);
    };
    generate_many(caches_.model(), source,
                  [&](std::size_t index, const generation_result& result) { finish(begun[index], result.said); });
    return deferred;
  }

  [[nodiscard]] oracle_key oracle_of(const cell& where) const {
    return {where.test, ids_of(conditions_[where.condition].prompts[where.test].whole())};
  }

  /// Has the oracles of these trials answer, all together.
  void ask_oracles(const std::vector<cell>& cells) {
    oracles_.clear();
    std::vector<oracle_key> asked;
    std::vector<detail::oracle_question> questions;
    for (const cell& where : cells) {
      if (const auto [oracle, is_new] = oracles_.try_emplace(oracle_of(where)); is_new) {
        asked.push_back(oracle->first);
        questions.push_back({&run_.tests[where.test].test, &conditions_[where.condition].prompts[where.test]});
      }
    }
    std::vector<std::optional<detail::oracle_reference>> answers =
        detail::read_oracles(caches_.model(), encoding_, questions, generation_);
    for (std::size_t i = 0; i < asked.size(); ++i) {
      oracles_.at(asked[i]) = std::move(answers[i]);
    }
  }

  /// What a trial has the model read and continue; the record says so from here on.
  [[nodiscard]] prepared_trial prepared(const cell& where) {
    const ready_condition& ready = conditions_[where.condition];
    return detail::naming(place(where), [&] {
      prepared_input read = ready.condition.prepare(caches_, ready.prompts[where.test], settings_of(where));
      detail::require_runnable(caches_.model(), read.input);
      record_of(where) = detail::record_of(read, seed_of(where));
      std::shared_ptr<measured_plan> measured = to_be_measured(where, read.input);
      return prepared_trial{where, {std::move(read.input), settings_of(where)}, std::move(measured)};
    });
  }

  /// The plan as it is measured: with that of the trial before where both read the same.
  [[nodiscard]] std::shared_ptr<measured_plan> to_be_measured(const cell& where, const plan& input) {
    std::vector<std::int64_t> signature = detail::signature_of(input);
    std::shared_ptr<measured_plan>& last = measured_[{where.test, where.condition}];
    if (last == nullptr || last->signature != signature) {
      const std::optional<detail::oracle_reference>& oracle = oracles_.at(oracle_of(where));
      last = std::make_shared<measured_plan>(measured_plan{input, std::move(signature), oracle ? &*oracle : nullptr});
      not_measured_.push_back(last);
    }
    return last;
  }

  /// Measures what trials read along the oracles, each plan once and all of them together.
  void measure(const std::deque<prepared_trial>& trials) {
    std::vector<detail::measured_input> inputs;
    for (const std::shared_ptr<measured_plan>& each : not_measured_) {
      if (each->oracle != nullptr) {
        inputs.push_back({each->oracle, &each->input, &each->trial});
      }
    }
    detail::measure_along(caches_.model(), inputs);
    not_measured_.clear();
    for (const prepared_trial& each : trials) {
      record_of(each.where).marker_log_prob = each.measured->trial.marker_log_prob;
      record_of(each.where).next_token_kl = each.measured->trial.next_token_kl;
    }
  }

  void finish(const cell& where, const completion& said) {
    trial_record& record = record_of(where);
    record = detail::with_completion(std::move(record), said, encoding_.tokens, run_.tests[where.test].test);
    if (finished_ != nullptr) {
      finished_->append(key_of(where), record, reference_of(where));
    }
    tell(where);
  }

  void tell(const cell& where) {
    ++progress_.done;
    progress_.test = run_.tests[where.test].test.name;
    progress_.condition = run_.tests[where.test].conditions[where.condition].id;
    if (report_) {
      report_(progress_);
    }
  }

  [[nodiscard]] trial_record& record_of(const cell& where) {
    return run_.tests[where.test].conditions[where.condition].trials[static_cast<std::size_t>(where.trial)];
  }
  [[nodiscard]] trial_key key_of(const cell& where) const {
    const test_record& test = run_.tests[where.test];
    const condition_record& condition = test.conditions[where.condition];
    return {test.test.name, condition.id, where.trial, condition.inputs_digest};
  }
  /// The trial that this one is compared with; null where there is none, or it has not run yet.
  [[nodiscard]] const trial_record* reference_of(const cell& where) const {
    const std::optional<std::string>& reference = run_.conditions[where.condition].reference;
    for (std::size_t c = 0; c < run_.conditions.size() && reference; ++c) {
      if (run_.conditions[c].id == *reference) {
        return finished_->find(key_of({where.test, c, where.trial}));
      }
    }
    return nullptr;
  }
  [[nodiscard]] std::string place(const cell& where) const {
    return place_of(run_.tests[where.test].test, conditions_[where.condition].condition);
  }
  [[nodiscard]] std::uint64_t seed_of(const cell& where) const {
    return run_.settings.seed + static_cast<std::uint64_t>(where.trial);
  }
  [[nodiscard]] generation_config settings_of(const cell& where) const {
    generation_config settings = generation_;
    settings.seeds = {seed_of(where)};
    return settings;
  }

  prompt_caches caches_;
  const prompt_encoding& encoding_;
  std::vector<ready_condition> conditions_;
  results& run_;
  journal* finished_;  // null where trials are kept in memory alone
  const progress_callback& report_;
  generation_config generation_;
  run_progress progress_;
  std::map<oracle_key, std::optional<detail::oracle_reference>> oracles_;
  std::map<std::pair<std::size_t, std::size_t>, std::shared_ptr<measured_plan>> measured_;  // by test and condition
  std::vector<std::shared_ptr<measured_plan>> not_measured_;
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
  running_experiment(model, encoding, checked(model, encoding, conditions, run), run, finished, report).run_all();
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
