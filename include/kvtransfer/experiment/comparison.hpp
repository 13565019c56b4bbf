#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kvtransfer/experiment/metrics.hpp"
#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/statistics/proportion.hpp"

namespace kvtransfer {

/// The first place where a condition's tokens leave its reference's.
struct first_difference {
  std::int64_t trial = 0;        ///< the first trial that differs
  divergence at;                 ///< step and tokens
  std::optional<double> margin;  ///< the reference's largest minus second largest logit at that step

  friend bool operator==(const first_difference&, const first_difference&) = default;
};

/// Where a trial leaves its reference's tokens, or ends otherwise; nothing if they are equal.
/// @param trial the number that the difference gets
[[nodiscard]] std::optional<first_difference> difference_from(const trial_record& made, const trial_record& reference,
                                                              std::int64_t trial);

/// A condition's generated tokens against those of its reference, trial by trial (equal seeds).
struct comparison {
  std::string reference;                  ///< the condition compared with
  std::int64_t trials = 0;                ///< those that both have
  std::int64_t equal = 0;                 ///< trials with the same tokens and the same stop
  std::optional<first_difference> first;  ///< nothing if all are equal

  /// Whether no trial differs.
  [[nodiscard]] bool all_equal() const { return equal == trials; }

  friend bool operator==(const comparison&, const comparison&) = default;
};

/// Compares the trials that both have. Nothing where there is no reference, it did not run, or either is not
/// applicable.
[[nodiscard]] std::optional<comparison> compare_with_reference(const test_record& test,
                                                               const condition_description& condition);

/// Whether a trial passed its test: every marker found, no forbidden one.
[[nodiscard]] bool succeeded(const test_case& test, const trial_record& trial);

/// In how many trials a marker was found.
[[nodiscard]] statistics::proportion marker_proportion(const condition_record& condition, const std::string& marker);

/// In how many trials the generation ended at once.
[[nodiscard]] statistics::proportion stalled_proportion(const condition_record& condition);

/// The markers found in at least half of the trials, in the test's order.
[[nodiscard]] std::vector<std::string> usual_markers(const test_case& test, const condition_record& condition);

/// Whether the trials of a condition are independent draws, so that an interval says something. Greedy trials repeat
/// each other.
[[nodiscard]] bool trials_are_draws(const run_settings& settings, const condition_description& condition);

}  // namespace kvtransfer
