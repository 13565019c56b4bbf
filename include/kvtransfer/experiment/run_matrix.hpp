#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "kvtransfer/experiment/condition_registry.hpp"
#include "kvtransfer/experiment/factorial_conditions.hpp"
#include "kvtransfer/experiment/process_group.hpp"
#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/run.hpp"
#include "kvtransfer/experiment/suite_registry.hpp"
#include "kvtransfer/experiment/sweeps.hpp"

namespace kvtransfer {

/// What a program knows by name: its own conditions, policies, suites and sweeps beside the library's.
struct matrix_registries {
  condition_registry conditions = condition_registry::standard();  ///< and the policies that narrow them
  suite_registry suites = suite_registry::standard();              ///< files are suites too
  sweep_registry sweeps = sweep_registry::standard();              ///< ways through a cache
};

/// What a run is asked for: the flags of `phase2a`.
struct matrix_arguments {
  run_settings settings = {};         ///< its list of conditions is filled in from the lists below
  std::string conditions = "matrix";  ///< as `condition_registry::parse` reads it
  std::filesystem::path model = {};   ///< where the settings' model lies; empty: there
  std::string program = "phase2a";    ///< in front of the names of its files
  std::string command = {};           ///< the whole command line, for the record
};

/// What is told on the way. What one of them throws ends the run; finished trials stay in the journal.
struct matrix_events {
  progress_callback progress = {};                                      ///< after every step and every trial
  std::function<void(const left_out_crossing&)> left_out = {};          ///< of each crossing that is not run
  std::function<void(const std::filesystem::path&)> older_folder = {};  ///< where an earlier run's results are now
  std::function<void()> begins = {};  ///< once, when all is loaded and checked, before anything is written
  std::function<void()> waits = {};   ///< again and again while rank 0 prepares the output folder
};

/// The experiment from its arguments to its files: opens the model, runs what the output folder's records do not hold
/// yet, and writes the reports. Nothing is written before all that was asked for has been checked.
/// @throws value_error, file_error for what can't be run; full_disk_error, out_of_memory_error for what there is no
/// room for; what `run_experiment` throws
results run_matrix(const matrix_registries& known, const matrix_arguments& arguments, const matrix_events& events = {});

/// The same in one process of a group, all of which call this with the same arguments and see the same output folder.
/// Each runs a share of the trials, on a device of its own; rank 0 makes the folder and writes the reports. A group
/// that was started again goes on with what was finished.
/// @return on rank 0 the run; elsewhere the run with the trials of this process
/// @throws process_group_error where another process or its host is gone
results run_matrix(const matrix_registries& known, const matrix_arguments& arguments, const matrix_events& events,
                   process_group& group);

}  // namespace kvtransfer
