#pragma once

#include <string>
#include <string_view>

#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// Text that Markdown shows as it is, on one line: a model may generate anything.
[[nodiscard]] std::string markdown_escape(std::string_view text);

/// The run as a Markdown document.
[[nodiscard]] std::string report_markdown(const results& run);

}  // namespace kvtransfer::detail
