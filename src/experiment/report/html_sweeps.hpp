#pragma once

#include <string>

#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/summary.hpp"

namespace kvtransfer::detail {

/// Whether a condition is a step of a sweep: heat maps show it, so that tables need not.
[[nodiscard]] inline bool is_sweep_step(const condition_description& condition) {
  return condition.factors.contains("sweep");
}

/// Each sweep as heat maps over its two longest axes, one for each combination of the others; empty where none ran.
[[nodiscard]] std::string html_sweeps(const results& run, const run_summary& summary);

}  // namespace kvtransfer::detail
