#include "experiment/report/html.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>

#include "experiment/records_json.hpp"
#include "experiment/report/cells.hpp"
#include "experiment/report/headings.hpp"
#include "experiment/report/html_comparisons.hpp"
#include "experiment/report/html_escape.hpp"
#include "experiment/report/html_matrix.hpp"
#include "experiment/report/html_style.hpp"
#include "experiment/report/html_tests.hpp"
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

std::string html_head(const results& run) {
  const std::string title = "KV-cache transfer: " + html_escape(run.suite_name);
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\"><title>{0}</title><style>{1}</style></head><body><main>"
      "<h1>{0}</h1><p class=\"soft\">{2}<br>{3}; {4}.</p>",
      title, html_style, html_escape(model_text(run.model)), html_escape(machine_text(run.program)),
      html_escape(decoding_text(run.settings)));
}

std::string html_reading_help(const results& run) {
  std::string text =
      "<p>A filled chip is a marker that occurs in the generated text, an empty one a marker that does not.";
  if (run.settings.trials > 1) {
    text += " Counts are trials.";
  }
  text += " " + html_escape(precision_note(run.program));
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
      "<h2>Conditions</h2><table><thead><tr><th>Condition</th><th>In the cache, and fed</th><th>What it "
      "tells</th></tr></thead><tbody>";
  for (const condition_description& condition : run.conditions) {
    table += fmt::format(R"(<tr><th class="id">{}</th><td>{}</td><td>{}</td></tr>)", html_escape(condition.id),
                         html_escape(condition.injected), html_escape(condition.tells));
  }
  return table + "</tbody></table>";
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

std::string report_html(const results& run) {
  std::string page = html_head(run);
  page += html_verdicts(run);
  page += fmt::format(R"(<p class="lead">{}</p>)", html_escape(conclusion(run)));
  page += "<h2>Result</h2>" + html_reading_help(run) + html_matrix(run);
  if (!run.reported_by.empty()) {
    page += fmt::format(R"(<p class="small soft">Published: {}</p>)", html_escape(run.reported_by));
  }
  page += html_mistakes(run);
  page += html_agreement(run);
  page += html_rates(run);
  page += html_texts(run);
  page += html_conditions(run);
  page += html_facts(run);
  return page + "</main></body></html>\n";
}

}  // namespace kvtransfer::detail
