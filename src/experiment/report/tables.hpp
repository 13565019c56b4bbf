#pragma once

#include <string>
#include <vector>

#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/summary.hpp"

namespace kvtransfer::detail {

/// Rows of plain text, the first of which is the heading.
using text_table = std::vector<std::vector<std::string>>;

/// The run's own conditions; reconstructions stand beside what they reconstruct, in another table.
[[nodiscard]] text_table own_table(const results& run);

/// Every published column, with its reconstruction where the run has one.
[[nodiscard]] text_table published_table(const results& run);

/// The conditions by rate, for a run of many tests.
[[nodiscard]] text_table rate_table(const run_summary& summary);

/// What was compared on the run's own metric: differences, intervals, verdicts.
[[nodiscard]] text_table comparison_table(const results& run, const run_summary& summary);

/// A table as text: columns as wide as their widest cell, the first row underlined.
[[nodiscard]] std::string aligned(const text_table& rows);

}  // namespace kvtransfer::detail
