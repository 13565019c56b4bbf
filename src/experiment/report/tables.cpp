#include "experiment/report/tables.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "experiment/report/cells.hpp"
#include "experiment/report/wording.hpp"

namespace kvtransfer::detail {

namespace {

/// Characters on the screen, for UTF-8 text without combining marks.
std::size_t screen_width(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char byte) { return (byte & 0xC0) != 0x80; }));
}

}  // namespace

text_table own_table(const results& run) {
  text_table rows{{"Test"}};
  for (const condition_description& condition : run.conditions) {
    if (!condition.reconstructs) {
      rows.front().push_back(condition.title);
    }
  }
  for (const test_record& test : run.tests) {
    rows.push_back({test.test.name});
    for (const condition_record& record : test.conditions) {
      const condition_description* condition = run.find_condition(record.id);
      if (condition != nullptr && !condition->reconstructs) {
        rows.back().push_back(cell_text(test.test, record));
      }
    }
  }
  return rows;
}

text_table published_table(const results& run) {
  text_table rows{{"Test"}};
  const std::vector<std::string> columns = published_columns(run);
  for (const std::string& column : columns) {
    rows.front().push_back(column_title(run, column));
    if (run.find_reconstruction(column) != nullptr) {
      rows.front().push_back("reconstructed");
    }
  }
  for (const test_record& test : run.tests) {
    rows.push_back({test.test.name});
    for (const std::string& column : columns) {
      const auto published = test.test.reported.find(column);
      rows.back().push_back(published == test.test.reported.end() ? "" : cell_text(published->second));
      if (const condition_description* reconstruction = run.find_reconstruction(column)) {
        const condition_record* record = test.find(reconstruction->id);
        rows.back().push_back(record == nullptr ? "" : cell_text(test.test, *record));
      }
    }
  }
  return rows;
}

text_table rate_table(const run_summary& summary) {
  text_table rows{{"Condition", "Passed", "95 % interval", "Ended at once"}};
  for (const condition_summary& each : summary.cells) {
    if (each.prompts > 0) {
      rows.push_back({each.variant.empty() ? each.condition : fmt::format("{}: {}", each.variant, each.condition),
                      rate_text(each.success.rate, each.prompts),
                      fmt::format("{:.1f} to {:.1f} %", 100 * each.success.range.low, 100 * each.success.range.high),
                      rate_text(each.stalled.rate, each.prompts)});
    }
  }
  return rows;
}

text_table comparison_table(const results& run, const run_summary& summary) {
  text_table rows{{"Compared", "Difference", "95 % interval", "p (Holm)", "Verdict"}};
  const auto add = [&](const std::string& title, const statistics::paired_comparison& outcome) {
    if (outcome.metric == run.metric) {
      rows.push_back({title, points(outcome.difference),
                      outcome.low && outcome.high ? points(*outcome.low, *outcome.high) : std::string("none"),
                      p_text(outcome.p_holm), std::string(to_string(outcome.verdict))});
    }
  };
  for (const condition_comparison& each : summary.comparisons) {
    add(fmt::format("{}{} − {}", each.variant.empty() ? "" : each.variant + ": ", each.outcome.a, each.outcome.b),
        each.outcome);
  }
  for (const variant_comparison& each : summary.variants) {
    add(fmt::format("{}: {} − {}", each.condition, each.outcome.a, each.outcome.b), each.outcome);
  }
  return rows;
}

std::string aligned(const text_table& rows) {
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

}  // namespace kvtransfer::detail
