#include "experiment/report/html.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string_view>

#include "experiment/records_json.hpp"
#include "experiment/report/cells.hpp"
#include "experiment/report/findings.hpp"
#include "experiment/report/headings.hpp"
#include "experiment/report/html_comparisons.hpp"
#include "experiment/report/html_escape.hpp"
#include "experiment/report/html_matrix.hpp"
#include "experiment/report/html_style.hpp"
#include "experiment/report/html_summary.hpp"
#include "experiment/report/html_sweeps.hpp"
#include "experiment/report/html_tests.hpp"
#include "experiment/report/left_out.hpp"
#include "experiment/report/verdicts.hpp"

namespace kvtransfer::detail {

namespace {

/// @param kind `good`, `bad` or `info`: something held, failed, or was found
std::string html_card(std::string_view kind, std::string_view figure, std::string_view text) {
  return fmt::format(R"(<div class="verdict {}"><b>{}</b>{}</div>)", kind, figure, text);
}

/// One card per thing that must hold, and per published column.
std::string html_verdicts(const results& run) {
  std::string cards;
  for (const equality_verdict& verdict : equality_verdicts(run)) {
    if (verdict.condition.must_equal_reference) {
      cards += html_card(
          verdict.holds() ? "good" : "bad", fmt::format("{} of {}", verdict.equal, verdict.tests),
          fmt::format(R"(tests in which <span class="id">{}</span> generates the tokens of <span class="id">{}</span>)",
                      html_escape(verdict.condition.id), html_escape(*verdict.condition.reference)));
    }
  }
  for (const column_verdict& verdict : column_verdicts(run)) {
    cards += html_card(
        "info",
        verdict.reconstructed ? fmt::format("{} of {}", verdict.by_reconstruction, verdict.cells) : not_applicable_text,
        fmt::format(R"(cells of the published column “{}” come out of <span class="id">{}</span>)",
                    html_escape(column_title(run, verdict.column)), html_escape(verdict.reconstruction)));
  }
  return cards.empty() ? "" : R"(<div class="verdicts">)" + cards + "</div>";
}

/// The commands that make the page again and go on from its trials, and the files beside it.
std::string html_sources(const results& run) {
  std::string html =
      R"(<p class="small sources">Data: <a href="cells.csv">cells.csv</a>, <a href="summary.json">summary.json</a>, )"
      R"(<a href="records.jsonl">records.jsonl</a>, <a href="suite.json">suite.json</a>.)";
  if (!run.program.command.empty()) {
    html += fmt::format(R"( Made by <code>{}</code>)", html_escape(run.program.command));
  }
  html += fmt::format("; kvtransfer {}", html_escape(run.program.version));
  html += run.program.commit.empty() ? "" : fmt::format(", commit {}", html_escape(run.program.commit));
  html += run.program.date.empty() ? "" : fmt::format(", {}", html_escape(run.program.date));
  return html + ".</p>";
}

/// The finding first: what a reader takes away who reads nothing else.
std::string html_head(const results& run, const run_summary& summary) {
  const finding found = finding_of(run, summary);
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\"><title>KV-cache transfer: {0}</title><style>{1}</style></head>"
      "<body><main><p class=\"soft small\">KV-cache transfer: {0}. {2}; {3}; {4}.</p><h1>{5}</h1>",
      html_escape(run.suite_name), html_style, html_escape(model_text(run.model)),
      html_escape(machine_text(run.program)), html_escape(decoding_text(run.settings)), html_escape(found.headline));
  for (const std::string& sentence : found.sentences) {
    page += fmt::format(R"(<p class="lead">{}</p>)", html_escape(sentence));
  }
  if (const std::string carried = carried_sentence(run); !found.is_result && !carried.empty()) {
    page += fmt::format(R"(<p class="lead">{}</p>)", html_escape(carried));
  }
  return page + html_sources(run);
}

std::string html_reading_help(const results& run) {
  std::string text =
      "<p>A filled chip is a marker that occurs in the generated text, an empty one a marker that does not.";
  if (run.settings.trials > 1) {
    text += " Counts are trials.";
  }
  text += fmt::format(" {}", html_escape(precision_note(run.program)));
  if (const std::string origins = origin_note(run); !origins.empty()) {
    text += fmt::format(" <b>{}</b>", html_escape(origins));
  }
  const std::string carried = carried_sentence(run);
  if (!carried.empty()) {
    text +=
        " A marker that noise gives too is no evidence of a transfer: the model knows it and says it in any context. "
        "<b>" +
        html_escape(carried) + "</b>";
  }
  return text + "</p>";
}

std::string html_conditions(const results& run) {
  std::string table =
      "<h2>Conditions</h2><table class=\"wrap\"><thead><tr><th>Condition</th><th>In the cache, and fed</th><th>What it "
      "tells</th></tr></thead><tbody>";
  std::size_t steps = 0;
  for (const condition_description& condition : run.conditions) {
    if (is_sweep_step(condition)) {
      ++steps;
      continue;
    }
    table += fmt::format(R"(<tr><th class="id">{}</th><td>{}</td><td>{}</td></tr>)", html_escape(condition.id),
                         html_escape(condition.injected), html_escape(condition.tells));
  }
  table += "</tbody></table>";
  return steps == 0 ? table
                    : table + fmt::format(
                                  "<p>And {} steps of sweeps: each is <span class=\"id\">transfer</span>, changed "
                                  "by what stands behind its plus sign.</p>",
                                  steps);
}

std::string html_fact_rows(const nlohmann::ordered_json& facts) {
  std::string rows;
  for (const auto& fact : facts.items()) {
    const std::string value =
        fact.value().is_string() ? fact.value().template get<std::string>() : json_text(fact.value());
    rows += fmt::format(R"(<tr><th class="id">{}</th><td class="id">{}</td></tr>)", html_escape(fact.key()),
                        html_escape(value));
  }
  return rows;
}

std::string html_facts(const results& run) {
  std::string text = "<h2>Model, program and settings</h2><div class=\"grid\">";
  const auto table = [](std::string_view title, const nlohmann::ordered_json& facts) {
    return fmt::format("<div><h3>{}</h3><table class=\"facts\"><tbody>{}</tbody></table></div>", title,
                       html_fact_rows(facts));
  };
  return text + table("Model", to_json_value(run.model)) + table("Settings", to_json_value(run.settings)) +
         table("Program", to_json_value(run.program)) + "</div>";
}

}  // namespace

std::string report_html(const results& run, const run_summary& summary) {
  const bool few_tests = run.tests.size() <= most_tests_in_matrix;
  std::string page = html_head(run, summary);
  page += html_verdicts(run);
  page += fmt::format(R"(<p>{}</p>)", html_escape(conclusion(run)));
  if (few_tests) {
    page += "<h2>Result</h2>" + html_reading_help(run) + html_matrix(run);
    if (!run.reported_by.empty()) {
      page += fmt::format(R"(<p class="small soft">Published: {}</p>)", html_escape(run.reported_by));
    }
  }
  page += html_comparisons(run, summary) + html_cells(run, summary);
  page += html_factors(summary) + html_left_out(run) + html_sweeps(run, summary);
  page += few_tests ? html_mistakes(run) : "";
  page += html_divergence(run);
  page += few_tests ? html_agreement(run) + html_rates(run) : "";
  page += html_texts(run);
  page += html_conditions(run);
  page += html_facts(run);
  return page + "</main></body></html>\n";
}

}  // namespace kvtransfer::detail
