#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/statistics/factorial.hpp"
#include "kvtransfer/experiment/statistics/paired_comparison.hpp"
#include "kvtransfer/experiment/statistics/proportion.hpp"
#include "kvtransfer/experiment/statistics/recovery.hpp"

namespace kvtransfer {

/// How often something happened, over prompts; the trials of a prompt are averaged first.
struct prompt_rate {
  double rate = 0.0;           ///< mean over prompts
  statistics::interval range;  ///< confidence 0.95, prompts taken as independent
};

/// A condition over a run's prompts: a row of the summary's table.
struct condition_summary {
  std::string condition;                  ///< its id
  std::string variant;                    ///< of the tests that it is about; empty: all
  std::int64_t prompts = 0;               ///< on which it ran
  prompt_rate success;                    ///< every marker found, no forbidden one
  prompt_rate stalled;                    ///< ended at once
  std::optional<double> marker_log_prob;  ///< mean; where every trial has one
};

/// Two conditions on the same prompts.
struct condition_comparison {
  std::string variant;                    ///< of the tests that it is about; empty: all
  statistics::paired_comparison outcome;  ///< a and b are conditions
};

/// Two variants of the same items under one condition.
struct variant_comparison {
  std::string condition;                  ///< its id
  statistics::paired_comparison outcome;  ///< a and b are variants
};

/// How much of an injected cache's effect is its content.
struct content_recovery {
  std::string condition;         ///< that injects it
  std::string variant;           ///< of the tests that it is about; empty: all
  std::string metric;            ///< as in `summary.json`
  statistics::recovery outcome;  ///< by the baseline, another source's cache, and the text
};

/// What the factors of a run do to a metric.
struct factor_table {
  std::string metric;                              ///< as in `summary.json`
  std::string variant;                             ///< of the tests that it is about; empty: all
  std::vector<std::string> low;                    ///< each factor's level that counts as off, in the factors' order
  std::vector<std::string> high;                   ///< likewise as on
  std::vector<statistics::factor_effect> effects;  ///< main effects, then two-way interactions
};

/// What follows from a run's trials: everything that its report says in numbers.
///
/// A further statistic is its arithmetic in statistics/, a member here, a file of src/experiment/summary/ that fills it
/// and that src/experiment/summary.cpp calls, its place in src/experiment/summary_json.cpp, and a table in
/// src/experiment/report/html_summary.cpp. A further number of each trial is a member of `trial_record`, and a line of
/// `trial_metrics()` in src/experiment/summary/prompt_values.cpp.
struct run_summary {
  std::vector<condition_summary> cells;           ///< variants in turn, in each the conditions in the run's order
  std::vector<condition_comparison> comparisons;  ///< a family a metric, variants included
  std::vector<variant_comparison> variants;       ///< likewise
  std::vector<content_recovery> recoveries;       ///< where the controls for it ran
  std::vector<factor_table> factors;              ///< where the run crosses factors of two levels in full
};

/// The conditions that inject a source's cache and whose outcome is in question: `transfer`, those of files and
/// projections; without these, what narrows a transfer. Controls are none.
[[nodiscard]] std::vector<std::string> questioned_conditions(const results& run);

/// What one of these is compared with, of that what ran: the text, another source's cache, a zeroed one, noise, and
/// nothing. Files and projections have controls of their own, such as `from_files:DIR+control:other_source` and
/// `projected_other_source:FOLDER`.
[[nodiscard]] std::vector<std::string> control_conditions(const results& run, std::string_view condition);

/// Compares the conditions of a run whose trials are there. The unit is the prompt; tests of one group are a cluster.
[[nodiscard]] run_summary summarize(const results& run);

}  // namespace kvtransfer
