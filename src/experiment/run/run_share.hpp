#pragma once

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

/// Copies the trials that a journal has into the run's records.
void fill_in(results& run, const journal& finished);

}  // namespace kvtransfer::detail
