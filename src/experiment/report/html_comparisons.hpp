#pragma once

#include <string>
#include <vector>

#include "experiment/report/svg_sequence.hpp"
#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// What the named conditions read in the first trial of a test, those that ran.
[[nodiscard]] std::vector<named_sequence> sequences_of(const test_record& test, const std::vector<std::string>& ids);

/// For each published column that the run reconstructs: what the harness reads, what it does wrong, and its cells.
[[nodiscard]] std::string html_mistakes(const results& run);

/// Token by token, each condition that must equal another, with how sure the model was at each step.
[[nodiscard]] std::string html_agreement(const results& run);

/// How often each marker was found, with intervals; only where there is more than one trial.
[[nodiscard]] std::string html_rates(const results& run);

}  // namespace kvtransfer::detail
