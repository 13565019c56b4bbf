#include "experiment/report/html_matrix.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "experiment/report/cells.hpp"
#include "experiment/report/html_escape.hpp"
#include "kvtransfer/experiment/comparison.hpp"

namespace kvtransfer::detail {

namespace {

std::string html_matrix_head(const results& run, const std::vector<std::string>& columns, std::size_t own) {
  std::string head = fmt::format(R"(<thead><tr><th></th><th class="group" colspan="{}">This run</th>)", own);
  if (!columns.empty()) {
    head += fmt::format(R"(<th class="group divide" colspan="{}">Published</th>)", columns.size());
  }
  head += "</tr><tr><th>Test</th>";
  for (const condition_description& condition : run.conditions) {
    head += condition.reconstructs ? ""
                                   : fmt::format(R"(<th title="{}">{}</th>)", html_escape(condition.injected),
                                                 html_escape(condition.title));
  }
  for (std::size_t i = 0; i < columns.size(); ++i) {
    head +=
        fmt::format(R"(<th{}>{}</th>)", i == 0 ? R"( class="divide")" : "", html_escape(column_title(run, columns[i])));
  }
  return head + "</tr></thead>";
}

}  // namespace

std::string html_cell(const test_case& test, const condition_record& record) {
  if (record.not_applicable) {
    return fmt::format(R"(<span class="soft" title="{}">{}</span>)", html_escape(*record.not_applicable),
                       not_applicable_text);
  }
  std::string chips;
  for (const std::string& marker : test.markers) {
    const statistics::proportion found = marker_proportion(record, marker);
    const char* state = found.successes == 0 ? "chip" : found.successes == found.trials ? "chip found" : "chip part";
    const std::string count = found.trials > 1 ? fmt::format(" {}/{}", found.successes, found.trials) : "";
    chips += fmt::format(R"(<span class="{}">{}{}</span>)", state, html_escape(marker), count);
  }
  return chips;
}

std::string html_cell(const test_case& test, const reported_cell& cell) {
  if (cell.error) {
    return R"(<span class="chip error">ERROR</span>)";
  }
  std::string chips;
  for (const std::string& marker : test.markers) {
    const bool found = std::find(cell.markers.begin(), cell.markers.end(), marker) != cell.markers.end();
    chips += fmt::format(R"(<span class="{}">{}</span>)", found ? "chip found" : "chip", html_escape(marker));
  }
  return chips;
}

std::string html_matrix(const results& run) {
  const std::vector<std::string> columns = published_columns(run);
  const auto own =
      std::count_if(run.conditions.begin(), run.conditions.end(), [](const auto& each) { return !each.reconstructs; });
  std::string table =
      R"(<table class="cards matrix">)" + html_matrix_head(run, columns, static_cast<std::size_t>(own)) + "<tbody>";
  for (const test_record& test : run.tests) {
    table += fmt::format("<tr><th>{}</th>", html_escape(test.test.name));
    for (const condition_record& record : test.conditions) {
      const condition_description* condition = run.find_condition(record.id);
      const bool shown = condition != nullptr && !condition->reconstructs;
      table += shown ? fmt::format(R"(<td data-label="{}">{}</td>)", html_escape(condition->title),
                                   html_cell(test.test, record))
                     : "";
    }
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const auto cell = test.test.reported.find(columns[i]);
      table += fmt::format(R"(<td data-label="Published: {}"{}>{}</td>)", html_escape(column_title(run, columns[i])),
                           i == 0 ? R"( class="divide")" : "",
                           cell == test.test.reported.end() ? "" : html_cell(test.test, cell->second));
    }
    table += "</tr>";
  }
  return table + "</tbody></table>";
}

std::string html_reconstruction(const results& run, const std::string& column,
                                const condition_description& reconstruction) {
  const condition_description* proper = run.find_condition(column);
  std::string table = fmt::format(
      "<table class=\"cards\"><thead><tr><th>Test</th><th>Published: {}</th><th class=\"id\">{}</th><th>Same "
      "markers</th><th "
      "class=\"id\">{}</th>"
      "</tr></thead><tbody>",
      html_escape(column_title(run, column)), html_escape(reconstruction.id),
      proper == nullptr ? "" : html_escape(proper->id));
  for (const test_record& test : run.tests) {
    const auto published = test.test.reported.find(column);
    const condition_record* mistaken = test.find(reconstruction.id);
    const condition_record* right = test.find(column);
    if (published == test.test.reported.end() || mistaken == nullptr) {
      continue;
    }
    const bool same = agrees(published->second, test.test, *mistaken);
    table += fmt::format(
        R"(<tr><th>{}</th><td data-label="Published">{}</td><td data-label="{}">{}</td><td data-label="Same markers" )"
        R"(class="{}">{}</td><td data-label="{}">{}</td></tr>)",
        html_escape(test.test.name), html_cell(test.test, published->second), html_escape(reconstruction.id),
        html_cell(test.test, *mistaken), same ? "same" : "differs", same ? "yes" : "no", html_escape(column),
        right == nullptr ? "" : html_cell(test.test, *right));
  }
  return table + "</tbody></table>";
}

}  // namespace kvtransfer::detail
