#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/report/cells.hpp"
#include "kvtransfer/experiment/report/headings.hpp"
#include "kvtransfer/experiment/report/tables.hpp"
#include "kvtransfer/experiment/report/verdicts.hpp"

namespace kvtransfer {

namespace detail {

/// Characters on the screen, for UTF-8 text without combining marks.
inline std::size_t screen_width(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; }));
}

/// Columns as wide as their widest cell, the first row underlined.
inline std::string aligned(const text_table& rows) {
  std::vector<std::size_t> widths(rows.front().size(), 0);
  for (const std::vector<std::string>& row : rows) {
    for (std::size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], screen_width(row[column]));
    }
  }
  std::string text;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::string line;
    std::string rule;
    for (std::size_t column = 0; column < rows[i].size(); ++column) {
      const std::string gap = column + 1 < rows[i].size() ? "  " : "";
      line += rows[i][column] + std::string(widths[column] - screen_width(rows[i][column]), ' ') + gap;
      rule += std::string(widths[column], '-') + gap;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n" + (i == 0 ? rule + "\n" : "");
  }
  return text;
}

}  // namespace detail

/// The run for a terminal: the table in the report's form, the published one beside its reconstruction, the verdicts.
inline std::string report_terminal(const results& run) {
  std::string text =
      fmt::format("{}\n{}; {}\n\n", model_text(run.model), machine_text(run.program), decoding_text(run.settings));
  text += detail::aligned(own_table(run));
  if (!published_columns(run).empty()) {
    text += fmt::format("\nPublished: {}\n{}", run.reported_by, detail::aligned(published_table(run)));
  }
  text += "\n";
  for (const std::string& line : verdict_sentences(run)) {
    text += line + "\n";
  }
  return text;
}

}  // namespace kvtransfer
