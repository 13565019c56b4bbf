#pragma once

#include <vector>

#include "experiment/summary/prompt_values.hpp"
#include "kvtransfer/experiment/summary.hpp"

namespace kvtransfer::detail {

/// How much of each questioned condition's effect is its content, where the baseline, the text and another source's
/// cache ran beside it.
[[nodiscard]] std::vector<content_recovery> content_recoveries(const results& run, const run_values& values);

}  // namespace kvtransfer::detail
