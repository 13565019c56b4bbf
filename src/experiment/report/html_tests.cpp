#include "experiment/report/html_tests.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "experiment/report/cells.hpp"
#include "experiment/report/html_comparisons.hpp"
#include "experiment/report/html_escape.hpp"
#include "kvtransfer/experiment/metrics.hpp"

namespace kvtransfer::detail {

namespace {

std::string_view end_of(stop_reason reason) {
  switch (reason) {
    case stop_reason::eos:
      return "then EOS";
    case stop_reason::positions:
      return "out of positions";
    case stop_reason::length:
      break;
  }
  return "length limit";
}

/// A generated text, how long it is and how it ended.
std::string html_trial_row(const test_case& test, std::string_view condition, std::size_t number, std::size_t count,
                           const trial_record& trial) {
  const std::string stop =
      fmt::format("{} tokens, {}{}", trial.token_ids.size(), end_of(trial.stop), trial.stalled ? ", stalled" : "");
  return fmt::format(R"(<tr><th class="id">{}{}</th><td data-label="" class="generated">{}</td><td data-label="" )"
                     R"(class="small soft">{}</td></tr>)",
                     condition, count > 1 ? fmt::format(" {}", number + 1) : "", html_marked(trial.text, test.markers),
                     stop);
}

std::string html_test(const results& run, const test_record& test, bool open) {
  std::string html = fmt::format("<details{}><summary>{}</summary>", open ? " open" : "", html_escape(test.test.name));
  html +=
      fmt::format("<p>Source: <b>{}</b><br>Target: <b>{}</b><br>Markers: {}</p>", html_escape(test.test.source),
                  html_escape(test.test.target), html_escape(fmt::format("{}", fmt::join(test.test.markers, ", "))));
  html += test.test.note.empty() ? "" : fmt::format(R"(<p class="soft">{}</p>)", html_escape(test.test.note));
  std::vector<std::string> ids;
  for (const condition_description& condition : run.conditions) {
    ids.push_back(condition.id);
  }
  html += R"(<div class="scroll">)" + svg_sequences(sequences_of(test, ids)) + "</div>";
  html += R"(<table class="cards"><thead><tr><th>Condition</th><th>Generated</th><th>Length, stop</th></tr></thead>)"
          "<tbody>";
  for (const condition_record& record : test.conditions) {
    for (std::size_t i = 0; i < record.trials.size(); ++i) {
      html += html_trial_row(test.test, record.id, i, record.trials.size(), record.trials[i]);
    }
    if (record.not_applicable) {
      html += fmt::format(R"(<tr><th class="id">{}</th><td data-label="" class="soft">{}: {}</td><td></td></tr>)",
                          record.id, not_applicable_text, html_escape(*record.not_applicable));
    }
  }
  return html + "</tbody></table></details>";
}

}  // namespace

std::string html_marked(std::string_view text, const std::vector<std::string>& markers) {
  const std::string lowered = lower_case(text);
  std::string html;
  std::size_t plain = 0;
  for (std::size_t i = 0; i < text.size();) {
    const auto here = std::find_if(markers.begin(), markers.end(), [&](const std::string& marker) {
      return lowered.compare(i, marker.size(), lower_case(marker)) == 0;
    });
    if (here == markers.end()) {
      ++i;
      continue;
    }
    html += html_escape(text.substr(plain, i - plain));
    html += fmt::format("<mark>{}</mark>", html_escape(text.substr(i, here->size())));
    i += here->size();
    plain = i;
  }
  return html + html_escape(text.substr(plain));
}

std::string html_texts(const results& run) {
  constexpr std::size_t most_shown = 20;
  std::string html = R"(<h2>What was read and generated</h2><div class="scroll">)" + svg_sequence_legend() + "</div>";
  if (run.tests.size() > most_shown) {
    html += fmt::format(
        R"(<p class="small">The first {} of {} tests; <a href="records.jsonl">records.jsonl</a> has all.</p>)",
        most_shown, run.tests.size());
  }
  for (std::size_t i = 0; i < std::min(run.tests.size(), most_shown); ++i) {
    html += html_test(run, run.tests[i], i == 0);
  }
  return html;
}

}  // namespace kvtransfer::detail
