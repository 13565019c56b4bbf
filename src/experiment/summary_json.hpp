#pragma once

#include <nlohmann/json.hpp>

#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/summary.hpp"

namespace kvtransfer::detail {

/// A comparison as `summary.json` has it.
[[nodiscard]] nlohmann::ordered_json to_json_value(const statistics::paired_comparison& outcome);

/// The document `summary.json`.
[[nodiscard]] nlohmann::ordered_json summary_json(const results& run, const run_summary& summary);

}  // namespace kvtransfer::detail
