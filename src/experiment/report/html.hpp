#pragma once

#include <string>

#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// The run as one HTML page that needs no other file and no network.
[[nodiscard]] std::string report_html(const results& run);

}  // namespace kvtransfer::detail
