#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/experiment/comparison.hpp"
#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/statistics/proportion.hpp"

namespace kvtransfer::detail {

/// Over all tests: does a condition generate its reference's tokens?
struct equality_verdict {
  condition_description condition;
  std::int64_t tests = 0;  ///< in which both ran
  std::int64_t equal = 0;
  std::vector<std::pair<std::string, first_difference>> differences;  ///< by name of test

  [[nodiscard]] bool holds() const { return tests > 0 && equal == tests; }
};

/// Over all tests: whose markers are those of a published column?
struct column_verdict {
  std::string column;
  std::string reconstruction;          ///< id of the harness that is meant to give the column
  std::int64_t cells = 0;              ///< published cells that are no error
  std::int64_t by_reconstruction = 0;  ///< of those, how many the reconstruction gives
  std::int64_t by_proper = 0;          ///< and how many the condition of the column's own name
  bool reconstructed = false;          ///< whether the reconstruction could be run on any of them
};

/// One verdict for each condition of the run that has a reference.
[[nodiscard]] std::vector<equality_verdict> equality_verdicts(const results& run);

/// One verdict for each published column that a condition of the run reconstructs.
[[nodiscard]] std::vector<column_verdict> column_verdicts(const results& run);

/// `trial 1, step 8 (token 412, there 97; top-2 margin 0.021)`: trials count from 1, steps from 0.
[[nodiscard]] std::string difference_text(const first_difference& difference);

/// One sentence of plain text.
[[nodiscard]] std::string sentence(const equality_verdict& verdict);

/// One sentence of plain text.
[[nodiscard]] std::string sentence(const column_verdict& verdict);

/// A marker that is usual under `transfer` and under neither control, where the model would be saying what it knows.
struct carried_marker {
  std::string marker;
  statistics::proportion transfer;  ///< in how many trials it was found
  statistics::proportion baseline;
  statistics::proportion noise;

  [[nodiscard]] bool under_neither_control() const { return baseline.successes == 0 && noise.successes == 0; }
};

/// The markers of a test that came through the cache. Nothing unless transfer, baseline and noise all ran.
[[nodiscard]] std::vector<carried_marker> carried_markers(const test_record& test);

/// Which markers were found under transfer and in no trial of the controls, and, with counts, which were found in some
/// trials of them. Empty where no test has all of transfer, baseline and noise.
[[nodiscard]] std::string carried_sentence(const results& run);

/// What the run comes to, in plain words.
[[nodiscard]] std::string conclusion(const results& run);

/// All that the run shows, a sentence each: first what must be equal, then whose columns were reproduced.
[[nodiscard]] std::vector<std::string> verdict_sentences(const results& run);

}  // namespace kvtransfer::detail
