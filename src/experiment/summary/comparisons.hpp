#pragma once

#include <vector>

#include "experiment/summary/prompt_values.hpp"
#include "kvtransfer/experiment/summary.hpp"

namespace kvtransfer::detail {

/// The questioned conditions of a run, each with its controls; those of one metric are a family.
[[nodiscard]] std::vector<condition_comparison> compared_conditions(const results& run, const run_values& values);

/// The first variant of a run's items with each of the others, condition by condition; likewise.
[[nodiscard]] std::vector<variant_comparison> compared_variants(const results& run, const run_values& values);

}  // namespace kvtransfer::detail
