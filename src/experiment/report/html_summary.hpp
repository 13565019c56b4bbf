#pragma once

#include <string>

#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/summary.hpp"

namespace kvtransfer::detail {

/// What was compared: differences with their intervals, and the verdicts.
[[nodiscard]] std::string html_comparisons(const results& run, const run_summary& summary);

/// Every condition: how often its answers passed and how often they ended at once; the steps of sweeps folded away.
[[nodiscard]] std::string html_cells(const results& run, const run_summary& summary);

/// What each factor does; empty where the run crosses none.
[[nodiscard]] std::string html_factors(const run_summary& summary);

/// How long each condition goes on with its reference's tokens, steps of sweeps left out.
[[nodiscard]] std::string html_divergence(const results& run);

}  // namespace kvtransfer::detail
