#pragma once

#include <string>

#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// `cells.csv`: a line a trial, with the columns of `records.jsonl` but for what is no single value. RFC 4180.
[[nodiscard]] std::string cells_csv(const results& run);

}  // namespace kvtransfer::detail
