#include "experiment/report/html_summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

#include "experiment/report/html_escape.hpp"
#include "experiment/report/html_sweeps.hpp"
#include "experiment/report/svg_divergence.hpp"
#include "experiment/report/svg_range.hpp"
#include "experiment/report/wording.hpp"

namespace kvtransfer::detail {

namespace {

std::string percent(double rate) { return fmt::format("{:.1f} %", 100 * rate); }

std::string table_cell(std::string_view label, std::string_view html) {
  return fmt::format(R"(<td data-label="{}">{}</td>)", label, html);
}

std::string id_cell(const std::string& id) { return fmt::format(R"(<th class="id">{}</th>)", html_escape(id)); }

/// A value in the metric's unit: rates in points, log-probabilities as they are.
std::string difference_text_of(const statistics::paired_comparison& outcome, double value) {
  return outcome.metric == "marker_log_prob" ? fmt::format("{:+.2f}", value) : points(value);
}

std::string verdict_chip(const statistics::paired_comparison& outcome) {
  const std::string_view name = to_string(outcome.verdict);
  return fmt::format(R"(<span class="verdict-chip {}">{}</span>)", name, name);
}

/// Cells of a comparison, left to right.
std::string comparison_cells(const statistics::paired_comparison& outcome) {
  const bool rates = outcome.metric != "marker_log_prob";
  std::string cells = table_cell("Difference", difference_text_of(outcome, outcome.difference));
  const std::string range = outcome.low && outcome.high
                                ? (rates ? points(*outcome.low, *outcome.high)
                                         : fmt::format("{:+.2f} to {:+.2f}", *outcome.low, *outcome.high))
                                : std::string("none");
  cells += table_cell("95 % interval", range);
  cells += table_cell("", rates && outcome.low ? svg_range({outcome.difference, *outcome.low, *outcome.high},
                                                           {-1.0, 1.0}, outcome.margin)
                                               : std::string());
  cells += table_cell("p (Holm)", p_text(outcome.p_holm));
  cells += table_cell("Verdict", verdict_chip(outcome));
  cells +=
      table_cell("Smallest effect it could see",
                 outcome.smallest_effect ? difference_text_of(outcome, *outcome.smallest_effect) : std::string("none"));
  return cells;
}

constexpr const char* comparison_heading =
    "<th>Difference</th><th>95 % interval</th><th></th><th>p (Holm)</th><th>Verdict</th><th>Smallest effect it "
    "could see</th></tr></thead><tbody>";

std::string comparison_table(const results& run, const run_summary& summary, const std::string& metric) {
  std::string rows;
  for (const condition_comparison& each : summary.comparisons) {
    if (each.outcome.metric == metric) {
      const std::string title =
          fmt::format("{}{} − {}", each.variant.empty() ? "" : each.variant + ": ", each.outcome.a, each.outcome.b);
      rows += "<tr>" + id_cell(title) + comparison_cells(each.outcome) + "</tr>";
    }
  }
  for (const variant_comparison& each : summary.variants) {
    if (each.outcome.metric == metric && metric == run.metric) {
      const std::string title = fmt::format("{}: {} − {}", each.condition, each.outcome.a, each.outcome.b);
      rows += "<tr>" + id_cell(title) + comparison_cells(each.outcome) + "</tr>";
    }
  }
  return rows.empty()
             ? ""
             : fmt::format(R"(<h3>{}</h3><table class="cards"><thead><tr><th>Compared</th>{}{}</tbody></table>)",
                           metric_title(metric), comparison_heading, rows);
}

std::string recovery_rows(const run_summary& summary) {
  std::string rows;
  for (const content_recovery& each : summary.recoveries) {
    const auto estimate = [](const statistics::mean_estimate& value, bool rates) {
      const statistics::interval range = statistics::interval_of(value);
      return rates ? fmt::format("{} ({})", points(value.mean), points(range.low, range.high))
                   : fmt::format("{:+.2f} ({:+.2f} to {:+.2f})", value.mean, range.low, range.high);
    };
    const bool rates = each.metric != "marker_log_prob";
    const auto& share = each.outcome.share;
    rows += fmt::format(
        "<tr>{}{}{}{}{}</tr>",
        id_cell(fmt::format("{}{}", each.condition, each.variant.empty() ? "" : ", " + each.variant)),
        table_cell("Metric", metric_title(each.metric)), table_cell("Presence", estimate(each.outcome.presence, rates)),
        table_cell("Content", estimate(each.outcome.content, rates)),
        table_cell("Recovered share", share ? fmt::format("{:.0f} % ({:.0f} to {:.0f} %)", 100 * share->share,
                                                          100 * share->range.low, 100 * share->range.high)
                                            : std::string("not defined: the text adds nothing to another source")));
  }
  return rows;
}

/// @param condition null where the run does not describe it
std::string cell_row(const condition_summary& each, const condition_description* condition, bool questioned) {
  const std::string name = each.variant.empty() ? each.condition : fmt::format("{}: {}", each.variant, each.condition);
  return fmt::format(
      R"(<tr{}><th class="id" title="{}">{}</th>{}{}{}{}{}</tr>)", questioned ? R"( class="asked")" : "",
      condition == nullptr ? "" : html_escape(condition->injected), html_escape(name),
      table_cell("Passed", rate_text(each.success.rate, each.prompts)),
      table_cell("95 % interval",
                 fmt::format("{} to {}", percent(each.success.range.low), percent(each.success.range.high))),
      table_cell("", svg_range({each.success.rate, each.success.range.low, each.success.range.high}, {0.0, 1.0}, {})),
      table_cell("Ended at once", rate_text(each.stalled.rate, each.prompts)),
      table_cell("Log-probability of markers",
                 each.marker_log_prob ? fmt::format("{:.2f}", *each.marker_log_prob) : std::string("not scored")));
}

std::string cells_table(const std::string& rows) {
  return "<table class=\"cards\"><thead><tr><th>Condition</th><th>Passed</th><th>95 % interval</th><th></th><th>Ended "
         "at "
         "once</th><th>Log-probability of markers</th></tr></thead><tbody>" +
         rows + "</tbody></table>";
}

}  // namespace

std::string html_comparisons(const results& run, const run_summary& summary) {
  std::string html = comparison_table(run, summary, run.metric);
  for (const char* metric : {"success", "marker_log_prob"}) {
    html += metric == run.metric ? "" : comparison_table(run, summary, metric);
  }
  if (const std::string rows = recovery_rows(summary); !rows.empty()) {
    html +=
        R"(<h3>Presence and content</h3><p class="small">Presence: what another source's cache does beyond none. )"
        R"(Content: what the source's own does beyond another's. Share: of what the text itself does beyond another's.)"
        R"(</p><table class="cards"><thead><tr><th>Condition</th><th>Metric</th><th>Presence</th><th>Content</th>)"
        R"(<th>Recovered share</th></tr></thead><tbody>)" +
        rows + "</tbody></table>";
  }
  if (html.empty()) {
    return "";
  }
  return fmt::format(
      "<h2>What was compared</h2><p>The unit is the prompt; trials of one are averaged, and prompts of one template "
      "count "
      "as one cluster. Equivalent: closer than {:.1f} points, which was fixed before the run. Undecided is not equal: "
      "the "
      "last column says how large a true difference the run would have found in four cases of five.</p>{}",
      100 * run.settings.margin, html);
}

std::string html_cells(const results& run, const run_summary& summary) {
  const std::vector<std::string> asked = questioned_conditions(run);
  std::string rows;
  std::string steps;
  std::size_t step_count = 0;
  for (const condition_summary& each : summary.cells) {
    const condition_description* condition = run.find_condition(each.condition);
    if (each.prompts == 0) {
      continue;
    }
    const bool questioned = std::ranges::find(asked, each.condition) != asked.end();
    const bool step = condition != nullptr && is_sweep_step(*condition) && !questioned;
    step_count += step ? 1 : 0;
    (step ? steps : rows) += cell_row(each, condition, questioned);
  }
  std::string html = "<h2>Conditions, by rate</h2>" + cells_table(rows);
  if (step_count > 0) {
    html += fmt::format("<details><summary>The {} steps of the sweeps</summary>{}</details>", step_count,
                        cells_table(steps));
  }
  return html;
}

std::string html_factors(const run_summary& summary) {
  std::string html;
  for (const factor_table& table : summary.factors) {
    std::string rows;
    std::size_t main_effects = 0;
    for (const statistics::factor_effect& effect : table.effects) {
      std::string name = effect.factor;
      if (effect.with) {
        name = fmt::format("{} × {}", effect.factor, *effect.with);
      } else {
        name += fmt::format(": {} → {}", table.low.at(main_effects), table.high.at(main_effects));
        ++main_effects;
      }
      const bool rates = table.metric != "marker_log_prob";
      const auto text = [&](double value) { return rates ? points(value) : fmt::format("{:+.2f}", value); };
      rows += "<tr>" + id_cell(name) + table_cell("Effect", text(effect.estimate.mean)) +
              table_cell("95 % interval", fmt::format("{} to {}", text(effect.range.low), text(effect.range.high))) +
              table_cell("", rates ? svg_range({effect.estimate.mean, effect.range.low, effect.range.high}, {-1, 1}, {})
                                   : std::string()) +
              table_cell("p (Holm)", p_text(effect.p_holm)) + "</tr>";
    }
    html += fmt::format(
        "<h3>{}{}</h3><table class=\"cards\"><thead><tr><th>Factor</th><th>Effect</th><th>95 % "
        "interval</th><th></th><th>p (Holm)</th></tr></thead><tbody>{}</tbody></table>",
        metric_title(table.metric), table.variant.empty() ? "" : ", " + html_escape(table.variant), rows);
  }
  return html.empty()
             ? ""
             : "<h2>Which factor does what</h2><p>Each effect is estimated within prompts, over all settings of "
               "the other factors.</p>" +
                   html;
}

std::string html_divergence(const results& run) {
  std::string html;
  for (const divergence_curve& curve : divergence_curves(run)) {
    const condition_description* condition = run.find_condition(curve.condition);
    if (condition == nullptr || !is_sweep_step(*condition)) {
      html += fmt::format(
          R"(<div><p class="small"><span class="id">{}</span> against <span class="id">{}</span>: {:.0f} % )"
          R"(to the end</p>{}</div>)",
          html_escape(curve.condition), html_escape(curve.reference), 100 * curve.agreeing.back(),
          svg_divergence(curve));
    }
  }
  return html.empty() ? ""
                      : "<h2>How long the tokens agree</h2><p>Share of trials that still generate their reference's "
                        "tokens, step by step.</p><div class=\"grid\">" +
                            html + "</div>";
}

}  // namespace kvtransfer::detail
