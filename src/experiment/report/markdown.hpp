#pragma once

#include <string>
#include <string_view>

#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/summary.hpp"

namespace kvtransfer::detail {

/// Text that Markdown shows as it is, on one line: a model may generate anything.
[[nodiscard]] std::string markdown_escape(std::string_view text);

/// The run as a Markdown document.
/// @param summary the run's
[[nodiscard]] std::string report_markdown(const results& run, const run_summary& summary);

}  // namespace kvtransfer::detail
