#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "kvtransfer/experiment/any_condition.hpp"
#include "kvtransfer/experiment/journal.hpp"
#include "kvtransfer/experiment/prompt_encoding.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/suite.hpp"

namespace kvtransfer {

struct causal_lm;

/// How far a run is.
struct run_progress {
  std::int64_t done = 0;   ///< trials, those taken from the journal included
  std::int64_t total = 0;  ///< trials
  std::string test;        ///< of the trial just done
  std::string condition;   ///< the id, of the trial just done
};

/// Called after every trial. What it throws ends the run; finished trials stay in the journal.
using progress_callback = std::function<void(const run_progress&)>;

/// A run with nothing done yet: what is asked for, of which model, by which program.
[[nodiscard]] results planned_run(const suite& tests, const std::vector<any_condition>& conditions,
                                  run_settings settings, program_info program, model_info model);

/// The prompts of a planned run as token ids, test by test, checked before anything runs or is written.
/// @throws value_error for prompts or settings that the model can't serve
[[nodiscard]] std::vector<prompt_ids> checked_prompts(const causal_lm& model, const prompt_encoding& encoding,
                                                      const std::vector<any_condition>& conditions, const results& run);

/// Runs every trial of a planned run that the journal does not hold yet, and fills in the run's records.
/// @param conditions those that the run was planned with
/// @throws what `checked_prompts` or `report` throws; an error of a trial, with the test and the condition in front
void run_experiment(const causal_lm& model, const prompt_encoding& encoding,
                    const std::vector<any_condition>& conditions, results& run, journal& finished,
                    const progress_callback& report);

/// The same with the trials kept in memory alone, so that an interrupted run starts again.
void run_experiment(const causal_lm& model, const prompt_encoding& encoding,
                    const std::vector<any_condition>& conditions, results& run, const progress_callback& report = {});

}  // namespace kvtransfer
