#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "experiment/run/ready_conditions.hpp"
#include "kvtransfer/experiment/journal.hpp"
#include "kvtransfer/experiment/process_group.hpp"
#include "kvtransfer/experiment/run.hpp"

namespace kvtransfer::detail {

/// Runs what this process gets of a run's trials; rank 0 stays until all of them are done.
/// @param encoded the prompts of the run's tests, as far as they have been made
/// @param finished gets the trials, and the run's records stay empty; null where these are to be filled in
/// @throws as `run_experiment`
void run_share(const causal_lm& model, const prompt_encoding& encoding, const std::vector<any_condition>& conditions,
               results& run, encoded_tests& encoded, journal* finished, const progress_callback& report,
               process_group& group);

/// Calls `take(key, trial)` for every trial of a run's records, in their order.
template <class Take>
void for_each_trial(results& run, Take&& take) {
  for (test_record& test : run.tests) {
    for (condition_record& condition : test.conditions) {
      for (std::size_t i = 0; i < condition.trials.size(); ++i) {
        take(trial_key{test.test.name, condition.id, static_cast<std::int64_t>(i), condition.inputs_digest},
             condition.trials[i]);
      }
    }
  }
}

/// Copies the trials that a journal has into the run's records.
void fill_in(results& run, const journal& finished);

}  // namespace kvtransfer::detail
