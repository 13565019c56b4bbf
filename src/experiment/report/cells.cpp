#include "experiment/report/cells.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "kvtransfer/experiment/comparison.hpp"
#include "kvtransfer/experiment/metrics.hpp"

namespace kvtransfer::detail {

std::string cell_text(const test_case& test, const condition_record& record) {
  if (record.not_applicable) {
    return not_applicable_text;
  }
  std::vector<std::string> shown;
  for (const std::string& marker : test.markers) {
    const statistics::proportion found = marker_proportion(record, marker);
    if (found.successes > 0) {
      shown.push_back(found.trials == 1 ? marker : fmt::format("{} {}/{}", marker, found.successes, found.trials));
    }
  }
  return fmt::format("[{}]", fmt::join(shown, ", "));
}

std::string cell_text(const reported_cell& cell) {
  return cell.error ? "ERROR" : fmt::format("[{}]", fmt::join(cell.markers, ", "));
}

bool agrees(const reported_cell& published, const test_case& test, const condition_record& record) {
  if (published.error || record.trials.empty()) {
    return false;
  }
  const auto normalized = [](std::vector<std::string> markers) {
    std::transform(markers.begin(), markers.end(), markers.begin(), lower_case);
    std::sort(markers.begin(), markers.end());
    return markers;
  };
  return normalized(published.markers) == normalized(usual_markers(test, record));
}

std::vector<std::string> published_columns(const results& run) {
  std::vector<std::string> columns;
  const auto add = [&](const std::string& column) {
    const bool known = std::any_of(run.tests.begin(), run.tests.end(),
                                   [&](const test_record& each) { return each.test.reported.contains(column); });
    if (known && std::find(columns.begin(), columns.end(), column) == columns.end()) {
      columns.push_back(column);
    }
  };
  for (const char* column : {"baseline", "same_cache", "noise", "transfer"}) {
    add(column);
  }
  for (const test_record& each : run.tests) {
    for (const auto& [column, cell] : each.test.reported) {
      add(column);
    }
  }
  return columns;
}

std::string column_title(const results& run, const std::string& column) {
  const condition_description* condition = run.find_condition(column);
  return condition == nullptr ? column : condition->title;
}

}  // namespace kvtransfer::detail
