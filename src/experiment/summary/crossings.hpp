#pragma once

#include <vector>

#include "experiment/summary/prompt_values.hpp"
#include "kvtransfer/experiment/summary.hpp"

namespace kvtransfer::detail {

/// What the factors that a run crosses in full do to each metric; those of its sweeps are none.
[[nodiscard]] std::vector<factor_table> factor_effects(const results& run, const run_values& values);

}  // namespace kvtransfer::detail
