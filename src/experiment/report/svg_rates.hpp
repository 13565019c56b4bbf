#pragma once

#include <string>
#include <vector>

#include "kvtransfer/experiment/statistics/proportion.hpp"

namespace kvtransfer::detail {

/// A row of a plot of proportions.
struct named_proportion {
  std::string name;
  statistics::proportion observed;
  bool with_interval = true;  ///< false where trials repeat each other, so that an interval says nothing
};

/// Proportions as points between 0 and 1, each with its 95 % Wilson interval.
[[nodiscard]] std::string svg_rates(const std::vector<named_proportion>& rows);

}  // namespace kvtransfer::detail
