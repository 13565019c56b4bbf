#pragma once

#include <string>
#include <vector>

#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/report/cells.hpp"

namespace kvtransfer {

/// Rows of plain text, the first of which is the heading.
using text_table = std::vector<std::vector<std::string>>;

/// The run's own conditions; reconstructions stand beside what they reconstruct, in another table.
inline text_table own_table(const results& run) {
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

/// Every published column, with its reconstruction where the run has one.
inline text_table published_table(const results& run) {
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

}  // namespace kvtransfer
