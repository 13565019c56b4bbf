#pragma once

#include <optional>
#include <string>

#include "kvtransfer/experiment/statistics/proportion.hpp"

namespace kvtransfer::detail {

/// A value with its interval.
struct ranged_value {
  double value = 0.0;
  double low = 0.0;
  double high = 0.0;
};

/// A value and its interval on a scale, for a table's cell; a zero inside of the scale is marked.
/// @param margin half the width of the band in which differences count as none; none: no band
[[nodiscard]] std::string svg_range(ranged_value shown, statistics::interval scale, std::optional<double> margin);

}  // namespace kvtransfer::detail
