#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "kvtransfer/experiment/any_condition.hpp"
#include "kvtransfer/experiment/journal.hpp"
#include "kvtransfer/experiment/process_group.hpp"
#include "kvtransfer/experiment/prompt_encoding.hpp"
#include "kvtransfer/experiment/prompt_ids.hpp"
#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/run_cost.hpp"
#include "kvtransfer/experiment/suite.hpp"

namespace kvtransfer {

struct causal_lm;

/// How far a run is.
struct run_progress {
  std::int64_t done = 0;   ///< trials, those taken from the journal included
  std::int64_t total = 0;  ///< trials
  std::string test;        ///< of the trial just done
  std::string condition;   ///< the id, of the trial just done
  run_cost cost;           ///< until now; peaks are those of this process
};

/// Until the run ends, by how long its trials have taken so far; nothing before the first of them. Seconds.
[[nodiscard]] inline std::optional<double> seconds_left(const run_progress& progress) {
  const run_cost& cost = progress.cost;
  if (cost.trials == 0) {
    return std::nullopt;
  }
  return static_cast<double>(progress.total - progress.done) * cost.seconds / static_cast<double>(cost.trials);
}

/// Called after every step of the model and after every trial. What it throws ends the run; finished trials stay in the
/// journal.
using progress_callback = std::function<void(const run_progress&)>;

/// A run with nothing done yet: what is asked for, of which model, by which program.
[[nodiscard]] results planned_run(const suite& tests, const std::vector<any_condition>& conditions,
                                  run_settings settings, program_info program, model_info model);

/// Runs every trial of a planned run that the journal does not hold yet, and fills in the run's records.
/// @param conditions those that the run was planned with
/// @throws value_error for prompts or settings that the model can't serve, before anything runs; what `report` throws;
/// an error of a trial, with the test and the condition in front
void run_experiment(const causal_lm& model, const prompt_encoding& encoding,
                    const std::vector<any_condition>& conditions, results& run, journal& finished,
                    const progress_callback& report);

/// The same for one process of a group, all of which call this with the same run and journals that hold the same
/// trials. Each runs a share of the others. Afterwards the records of all trials are there that its own journal holds:
/// rank 0 returns last, when the trials of all are in their journals.
/// @throws process_group_error where another process or its host is gone
void run_experiment(const causal_lm& model, const prompt_encoding& encoding,
                    const std::vector<any_condition>& conditions, results& run, journal& finished,
                    const progress_callback& report, process_group& group);

/// The same with the trials kept in memory alone, so that an interrupted run starts again.
void run_experiment(const causal_lm& model, const prompt_encoding& encoding,
                    const std::vector<any_condition>& conditions, results& run, const progress_callback& report = {});

}  // namespace kvtransfer
