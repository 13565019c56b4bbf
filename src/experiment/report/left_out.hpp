#pragma once

#include <string>

#include "experiment/report/tables.hpp"
#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// The crossings that a factorial left out, by reason; the heading alone where there are none.
[[nodiscard]] text_table left_out_table(const results& run);

/// The same for the page; empty where nothing was left out.
[[nodiscard]] std::string html_left_out(const results& run);

}  // namespace kvtransfer::detail
