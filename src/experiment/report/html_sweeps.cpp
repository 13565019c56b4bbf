#include "experiment/report/html_sweeps.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "experiment/report/html_escape.hpp"
#include "experiment/report/svg_heat_map.hpp"
#include "experiment/report/wording.hpp"

namespace kvtransfer::detail {

namespace {

using level_map = std::map<std::string, std::string>;

/// The conditions of a sweep by id, with their levels on its axes.
std::map<std::string, level_map> sweep_steps(const results& run, const std::string& sweep) {
  std::map<std::string, level_map> steps;
  for (const condition_description& condition : run.conditions) {
    level_map levels(condition.factors.begin(), condition.factors.end());
    const auto named = levels.find("sweep");
    if (named != levels.end() && named->second == sweep) {
      levels.erase(named);
      steps[condition.id] = std::move(levels);
    }
  }
  return steps;
}

/// The sweeps of a run, in order of appearance.
std::vector<std::string> sweeps_of(const results& run) {
  std::vector<std::string> sweeps;
  for (const condition_description& condition : run.conditions) {
    for (const auto& [factor, level] : condition.factors) {
      if (factor == "sweep" && std::find(sweeps.begin(), sweeps.end(), level) == sweeps.end()) {
        sweeps.push_back(level);
      }
    }
  }
  return sweeps;
}

/// The axes of a sweep, that of the most levels first, and their levels in the run's order.
std::vector<std::pair<std::string, std::vector<std::string>>> axes_of(const results& run,
                                                                      const std::map<std::string, level_map>& steps) {
  std::vector<std::pair<std::string, std::vector<std::string>>> axes;
  for (const condition_description& condition : run.conditions) {
    const auto step = steps.find(condition.id);
    for (const auto& [axis, level] : step == steps.end() ? level_map() : step->second) {
      auto known = std::find_if(axes.begin(), axes.end(), [&](const auto& each) { return each.first == axis; });
      if (known == axes.end()) {
        axes.push_back({axis, {}});
        known = std::prev(axes.end());
      }
      if (std::find(known->second.begin(), known->second.end(), level) == known->second.end()) {
        known->second.push_back(level);
      }
    }
  }
  std::stable_sort(axes.begin(), axes.end(),
                   [](const auto& a, const auto& b) { return a.second.size() > b.second.size(); });
  return axes;
}

/// `part = keys, way = only`.
std::string trimmed_levels(const std::map<std::string, std::string>& rest) {
  std::string text;
  for (const auto& [factor, level] : rest) {
    text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", factor, level);
  }
  return text;
}

/// One map for each combination of levels that are on neither of its axes.
std::string html_sweep(const results& run, const run_summary& summary, const std::string& sweep) {
  const std::map<std::string, level_map> steps = sweep_steps(run, sweep);
  const auto axes = axes_of(run, steps);
  if (axes.empty()) {
    return "";
  }
  heat_map empty;  // the longest axis from top to bottom: a page has room there
  std::tie(empty.rows, empty.row_levels) = axes[0];
  if (axes.size() > 1) {
    std::tie(empty.columns, empty.column_levels) = axes[1];
  }
  std::map<level_map, heat_map> maps;
  for (const condition_summary& cell : summary.cells) {
    const auto step = steps.find(cell.condition);
    if (step == steps.end() || cell.prompts == 0 || !step->second.contains(empty.rows)) {
      continue;
    }
    level_map rest = step->second;
    const std::string row = rest[empty.rows];
    const std::string column = empty.columns.empty() ? "" : rest[empty.columns];
    rest.erase(empty.columns);
    rest.erase(empty.rows);
    if (!cell.variant.empty()) {
      rest["variant"] = cell.variant;
    }
    maps.try_emplace(rest, empty).first->second.values[{row, column}] =
        run.metric == "stalled" ? cell.stalled.rate : cell.success.rate;
  }
  std::string html = fmt::format(R"(<h3>{}</h3><div class="maps">)", html_escape(sweep));
  for (const auto& [rest, filled] : maps) {
    const std::string title =
        rest.empty() ? "" : fmt::format(R"(<p class="small">{}</p>)", html_escape(trimmed_levels(rest)));
    html += fmt::format(R"(<div>{}<div class="scroll">{}</div></div>)", title, svg_heat_map(filled));
  }
  return html + "</div>";
}

}  // namespace

std::string html_sweeps(const results& run, const run_summary& summary) {
  std::string html;
  for (const std::string& sweep : sweeps_of(run)) {
    html += html_sweep(run, summary, sweep);
  }
  return html.empty() ? "" : fmt::format("<h2>Sweeps</h2><p>{}, in per cent.</p>{}", metric_title(run.metric), html);
}

}  // namespace kvtransfer::detail
