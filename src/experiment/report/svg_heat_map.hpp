#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace kvtransfer::detail {

/// Rates by the levels of one factor, or of two.
struct heat_map {
  std::string columns;                     ///< the factor of the columns; empty: there is but one column
  std::vector<std::string> column_levels;  ///< left to right
  std::string rows;                        ///< the factor of the rows
  std::vector<std::string> row_levels;     ///< top to bottom
  std::map<std::pair<std::string, std::string>, double> values;  ///< by (row, column), from 0 to 1; may lack some
};

/// A field a value, with its number in per cent; paler for less.
[[nodiscard]] std::string svg_heat_map(const heat_map& map);

}  // namespace kvtransfer::detail
