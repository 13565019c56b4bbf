#include "experiment/report/svg_heat_map.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "experiment/report/html_escape.hpp"

namespace kvtransfer::detail {

namespace {

std::size_t longest_of(const std::vector<std::string>& names) {
  std::size_t longest = 0;
  for (const std::string& name : names) {
    longest = std::max(longest, name.size());
  }
  return longest;
}

}  // namespace

std::string svg_heat_map(const heat_map& map) {
  constexpr double height_of_row = 30;
  constexpr double letter = 7.2;
  constexpr double top = 40;
  const std::vector<std::string>& rows = map.row_levels;
  const std::vector<std::string> columns = map.column_levels.empty() ? std::vector<std::string>{""} : map.column_levels;
  const double left = letter * static_cast<double>(std::max(map.rows.size(), longest_of(rows))) + 12;
  const double side = std::max(40.0, letter * static_cast<double>(longest_of(columns)) + 8);
  const double width = std::max(left + side * static_cast<double>(columns.size()) + 4,
                                left + letter * static_cast<double>(map.columns.size()) + 4);
  const double height = top + height_of_row * static_cast<double>(rows.size()) + 4;
  std::string svg = fmt::format(
      R"(<svg viewBox="0 0 {0:.0f} {1:.0f}" width="{0:.0f}" height="{1:.0f}" role="img" aria-label="Rates by {2} and {3}">)"
      R"(<text class="soft" x="{4:.0f}" y="14">{2}</text><text class="soft" x="0" y="30">{3}</text>)",
      width, height, html_escape(map.columns), html_escape(map.rows), left);
  for (std::size_t column = 0; column < columns.size(); ++column) {
    svg += fmt::format(R"(<text x="{:.1f}" y="{:.0f}" text-anchor="middle">{}</text>)",
                       left + side * (static_cast<double>(column) + 0.5), top - 8, html_escape(columns[column]));
  }
  for (std::size_t row = 0; row < rows.size(); ++row) {
    const double y = top + height_of_row * static_cast<double>(row);
    svg += fmt::format(R"(<text x="0" y="{:.1f}">{}</text>)", y + height_of_row / 2 + 4, html_escape(rows[row]));
    for (std::size_t column = 0; column < columns.size(); ++column) {
      const auto found = map.values.find({rows[row], columns[column]});
      if (found == map.values.end()) {
        continue;
      }
      const double x = left + side * static_cast<double>(column);
      svg += fmt::format(R"(<rect class="heat" x="{:.1f}" y="{:.1f}" width="{:.0f}" height="{:.0f}" )"
                         R"(style="fill-opacity:{:.2f}"/><text class="{}" x="{:.1f}" y="{:.1f}" )"
                         R"(text-anchor="middle">{:.0f}</text>)",
                         x + 1, y + 1, side - 2, height_of_row - 2, 0.06 + 0.94 * found->second,
                         found->second > 0.5 ? "on-heat" : "", x + side / 2, y + height_of_row / 2 + 4,
                         100 * found->second);
    }
  }
  return svg + "</svg>";
}

}  // namespace kvtransfer::detail
