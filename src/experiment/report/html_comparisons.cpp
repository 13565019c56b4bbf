#include "experiment/report/html_comparisons.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "experiment/report/cells.hpp"
#include "experiment/report/html_escape.hpp"
#include "experiment/report/html_matrix.hpp"
#include "experiment/report/svg_agreement.hpp"
#include "experiment/report/svg_rates.hpp"
#include "experiment/report/svg_sequence.hpp"
#include "experiment/report/verdicts.hpp"

namespace kvtransfer::detail {

namespace {

/// The longest generation of a run in steps, the end counted.
std::size_t longest_generation(const results& run) {
  std::size_t longest = 1;
  for (const test_record& test : run.tests) {
    for (const condition_record& record : test.conditions) {
      for (const trial_record& trial : record.trials) {
        longest = std::max({longest, trial.top2_margins.size(), trial.token_ids.size()});
      }
    }
  }
  return longest;
}

/// One plot per test: a condition against its reference, first trial.
std::string html_agreement_of(const results& run, const equality_verdict& verdict) {
  std::string html = fmt::format(R"(<h3>{}</h3><div class="grid">)", html_escape(sentence(verdict)));
  for (const test_record& test : run.tests) {
    const condition_record* here = test.find(verdict.condition.id);
    const condition_record* there = test.find(*verdict.condition.reference);
    if (here != nullptr && there != nullptr && !here->trials.empty() && !there->trials.empty()) {
      html += fmt::format(R"(<div class="scroll"><h3 class="small">{}</h3>{}</div>)", html_escape(test.test.name),
                          svg_agreement(here->trials.front(), there->trials.front(), longest_generation(run)));
    }
  }
  return html + "</div>";
}

/// How often a marker was found, condition by condition.
std::vector<named_proportion> rates_of(const results& run, const test_record& test, const std::string& marker) {
  std::vector<named_proportion> rows;
  for (const condition_record& record : test.conditions) {
    const condition_description* condition = run.find_condition(record.id);
    if (!record.trials.empty() && condition != nullptr) {
      rows.push_back({record.id, marker_proportion(record, marker), trials_are_draws(run.settings, *condition)});
    }
  }
  return rows;
}

}  // namespace

std::vector<named_sequence> sequences_of(const test_record& test, const std::vector<std::string>& ids) {
  std::vector<named_sequence> strips;
  for (const std::string& id : ids) {
    const condition_record* record = test.find(id);
    if (record != nullptr && !record->trials.empty()) {
      strips.push_back({id, record->trials.front().read});
    }
  }
  return strips;
}

std::string html_mistakes(const results& run) {
  const std::vector<column_verdict> verdicts = column_verdicts(run);
  if (verdicts.empty()) {
    return "";
  }
  std::string html =
      "<h2>Which harness gives which cell</h2><p>The published report does not give its harness. These are "
      "reconstructions: harnesses that read something else than the condition they are named after.</p>" +
      fmt::format(R"(<div class="scroll">{}</div>)", svg_sequence_legend());
  for (const column_verdict& verdict : verdicts) {
    const condition_description& reconstruction = *run.find_condition(verdict.reconstruction);
    html +=
        fmt::format(R"(<h3>The published column “{}”</h3><p>{} {}</p>)", html_escape(column_title(run, verdict.column)),
                    html_escape(reconstruction.mistake), html_escape(sentence(verdict)));
    if (!run.tests.empty()) {
      html += R"(<div class="scroll">)" +
              svg_sequences(sequences_of(run.tests.front(), {verdict.column, reconstruction.id})) + "</div>";
    }
    html += html_reconstruction(run, verdict.column, reconstruction);
  }
  return html;
}

std::string html_agreement(const results& run) {
  std::string html;
  for (const equality_verdict& verdict : equality_verdicts(run)) {
    html += verdict.condition.must_equal_reference ? html_agreement_of(run, verdict) : "";
  }
  return html.empty() ? ""
                      : "<h2>Token for token</h2><p>One bar a generated token, as high as the reference's top-2 "
                        "margin: its best "
                        "logit less the second best. Bars change colour at the first difference. First trial.</p>" +
                            html;
}

std::string html_rates(const results& run) {
  if (run.settings.trials < 2) {
    return "";
  }
  std::string html =
      "<h2>Marker rates</h2><p>Share of trials whose text holds the marker, with 95 % Wilson intervals. Greedy "
      "trials repeat each other, so they get no interval.</p>";
  html += R"(<div class="grid">)";
  for (const test_record& test : run.tests) {
    for (const std::string& marker : test.test.markers) {
      html += fmt::format(R"(<div class="scroll"><h3 class="small">{}: “{}”</h3>{}</div>)", html_escape(test.test.name),
                          html_escape(marker), svg_rates(rates_of(run, test, marker)));
    }
  }
  return html + "</div>";
}

}  // namespace kvtransfer::detail
