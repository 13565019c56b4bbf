#include "experiment/report/left_out.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "experiment/report/html_escape.hpp"

namespace kvtransfer::detail {

text_table left_out_table(const results& run) {
  std::vector<std::pair<std::string, std::vector<std::string>>> by_reason;
  for (const left_out_crossing& each : run.left_out) {
    auto known = std::ranges::find(by_reason, each.reason, [](const auto& group) { return group.first; });
    if (known == by_reason.end()) {
      known = by_reason.insert(known, {each.reason, {}});
    }
    known->second.push_back(each.crossing);
  }
  text_table rows{{"Why", "Crossings", "Which"}};
  for (const auto& [reason, crossings] : by_reason) {
    rows.push_back({reason, fmt::format("{}", crossings.size()), fmt::format("{}", fmt::join(crossings, "; "))});
  }
  return rows;
}

std::string html_left_out(const results& run) {
  if (run.left_out.empty()) {
    return "";
  }
  const text_table rows = left_out_table(run);
  std::string html = fmt::format(
      "<h3>Crossings left out</h3><p>{} of the factors' crossings are no experiments of their own, or none that this "
      "model and suite allow.</p><table "
      "class=\"cards wrap\"><thead><tr>",
      run.left_out.size());
  for (const std::string& title : rows.front()) {
    html += fmt::format("<th>{}</th>", title);
  }
  html += "</tr></thead><tbody>";
  for (std::size_t i = 1; i < rows.size(); ++i) {
    html += fmt::format(
        R"(<tr><td data-label="">{}</td><td data-label="{}">{}</td><td class="id" data-label="">{}</td></tr>)",
        html_escape(rows[i][0]), rows.front()[1], rows[i][1], html_escape(rows[i][2]));
  }
  return html + "</tbody></table>";
}

}  // namespace kvtransfer::detail
