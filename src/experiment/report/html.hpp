#pragma once

#include <cstddef>
#include <string>

#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/summary.hpp"

namespace kvtransfer::detail {

/// Up to so many tests, a report shows each in a line of its own, as the published one does.
inline constexpr std::size_t most_tests_in_matrix = 12;

/// The run as one HTML page that needs no other file and no network.
/// @param summary the run's
[[nodiscard]] std::string report_html(const results& run, const run_summary& summary);

}  // namespace kvtransfer::detail
