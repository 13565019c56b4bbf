#pragma once

#include <string>

#include "experiment/summary/prompt_values.hpp"
#include "kvtransfer/experiment/summary.hpp"

namespace kvtransfer::detail {

/// A row of the summary's table. @param variant empty: of all tests
[[nodiscard]] condition_summary summarize_condition(const run_values& values, const std::string& condition,
                                                    const std::string& variant);

}  // namespace kvtransfer::detail
