#include "kvtransfer/experiment/run.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

#include "experiment/run/parcel_runner.hpp"
#include "experiment/run/parcels.hpp"
#include "experiment/run/ready_conditions.hpp"
#include "experiment/run/run_records.hpp"
#include "experiment/run/run_share.hpp"
#include "experiment/run/run_teller.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate_many.hpp"

namespace kvtransfer {

namespace {

using detail::cell;

/// Half of a GPU's free memory. Processes of one host share the host's.
batching batching_for(const causal_lm& model, const process_group& group) {
  batching how;
  how.share /= model.device().is_cpu() ? static_cast<double>(group.local_size()) : 1.0;
  return how;
}

}  // namespace

void detail::run_share(const causal_lm& model, const prompt_encoding& encoding,
                       const std::vector<any_condition>& conditions, results& run, encoded_tests& encoded,
                       journal* finished, const progress_callback& report, process_group& group) {
  const std::vector<ready_condition> ready = checked_conditions(model, encoding, conditions, run, encoded);
  detail::run_records records(run, ready);
  const std::vector<cell> waiting = finished == nullptr ? records.cells() : records.unfinished(*finished);
  const std::vector<slot_range> parcels = detail::parcels_of(waiting, group.size());
  detail::run_teller teller(group, model.device(), report, static_cast<std::int64_t>(records.cells().size()),
                            static_cast<std::int64_t>(waiting.size()));
  batching how = batching_for(model, group);
  how.after_steps = [&](std::int64_t tokens) { teller.stepped(tokens); };
  const auto keep = [&](const cell& where) {
    const trial_key key = records.key_of(where);
    if (finished != nullptr) {
      finished->append(key, std::exchange(records.record_of(where), {}), records.reference_of(where, *finished));
    }
    teller.finished(key.test, key.condition);
  };
  detail::parcel_runner runner(model, encoding, ready, records, how, keep);
  const auto claimed = [&] { return static_cast<std::size_t>(group.add("claimed parcels", 1) - 1); };
  for (std::size_t i = claimed(); i < parcels.size(); i = claimed()) {
    const auto first = waiting.begin() + parcels[i].begin;
    runner.run({first, first + parcels[i].count});
  }
  teller.leave();
  if (group.rank() == 0) {
    teller.wait_for_others();
  }
  run.cost = teller.cost();
}

void detail::fill_in(results& run, const journal& finished) {
  for_each_trial(run, [&](const trial_key& key, trial_record& trial) {
    if (const trial_record* const kept = finished.find(key)) {
      trial = *kept;
    }
  });
}

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

void run_experiment(const causal_lm& model, const prompt_encoding& encoding,
                    const std::vector<any_condition>& conditions, results& run, journal& finished,
                    const progress_callback& report) {
  process_group alone;
  run_experiment(model, encoding, conditions, run, finished, report, alone);
}

void run_experiment(const causal_lm& model, const prompt_encoding& encoding,
                    const std::vector<any_condition>& conditions, results& run, const progress_callback& report) {
  process_group alone;
  detail::encoded_tests encoded;
  detail::run_share(model, encoding, conditions, run, encoded, nullptr, report, alone);
}

void run_experiment(const causal_lm& model, const prompt_encoding& encoding,
                    const std::vector<any_condition>& conditions, results& run, journal& finished,
                    const progress_callback& report, process_group& group) {
  detail::encoded_tests encoded;
  try {
    detail::run_share(model, encoding, conditions, run, encoded, &finished, report, group);
  } catch (...) {
    detail::fill_in(run, finished);  // what was finished is the caller's, however the rest ends
    throw;
  }
  detail::fill_in(run, finished);
}

}  // namespace kvtransfer
