#include "experiment/report/markdown.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <vector>

#include "experiment/records_json.hpp"
#include "experiment/report/cells.hpp"
#include "experiment/report/findings.hpp"
#include "experiment/report/headings.hpp"
#include "experiment/report/html.hpp"
#include "experiment/report/left_out.hpp"
#include "experiment/report/tables.hpp"
#include "experiment/report/verdicts.hpp"

namespace kvtransfer::detail {

namespace {

bool is_word_letter(std::string_view text, std::size_t index) {
  return index < text.size() && (std::isalnum(static_cast<unsigned char>(text[index])) != 0 || text[index] == '_');
}

/// Whether Markdown may read this letter as markup; an underscore inside a word and brackets without a link are just
/// letters.
bool is_markup(std::string_view text, std::size_t index) {
  const char letter = text[index];
  if (letter == '_') {
    return !(index > 0 && is_word_letter(text, index - 1) && is_word_letter(text, index + 1));
  }
  if (letter == '[' || letter == ']') {
    return text.find("](") != text.npos || text.find("][") != text.npos;
  }
  return std::string_view("\\`*<>|&~$#").find(letter) != std::string_view::npos;
}

std::string markdown_row(const std::vector<std::string>& cells) {
  return fmt::format("| {} |\n", fmt::join(cells, " | "));
}

/// A table whose first row is the heading; the cells are escaped here.
std::string markdown_table(const text_table& rows) {
  std::string text;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::vector<std::string> cells;
    for (const std::string& cell : rows[i]) {
      cells.push_back(markdown_escape(cell));
    }
    text += markdown_row(cells);
    text += i == 0 ? markdown_row(std::vector<std::string>(cells.size(), "---")) : "";
  }
  return text;
}

std::string markdown_conditions(const results& run) {
  text_table rows{{"Condition", "In the cache, and fed", "What it tells"}};
  for (const condition_description& condition : run.conditions) {
    rows.push_back({condition.id, condition.injected, condition.tells});
  }
  return markdown_table(rows);
}

/// Cell by cell: published, reconstructed, proper.
std::string markdown_mistakes(const results& run) {
  std::string text;
  for (const column_verdict& verdict : column_verdicts(run)) {
    const condition_description& reconstruction = *run.find_condition(verdict.reconstruction);
    text += fmt::format("**{}**: {}\n\n", markdown_escape(reconstruction.id), markdown_escape(reconstruction.mistake));
    text_table rows{{"Test", "Published", reconstruction.id, "Same markers", verdict.column}};
    for (const test_record& test : run.tests) {
      const auto published = test.test.reported.find(verdict.column);
      const condition_record* mistaken = test.find(reconstruction.id);
      const condition_record* proper = test.find(verdict.column);
      if (published != test.test.reported.end() && mistaken != nullptr) {
        rows.push_back({test.test.name, cell_text(published->second), cell_text(test.test, *mistaken),
                        agrees(published->second, test.test, *mistaken) ? "yes" : "no",
                        proper == nullptr ? "" : cell_text(test.test, *proper)});
      }
    }
    text += markdown_table(rows) + "\n";
  }
  return text;
}

std::string markdown_texts(const test_record& test) {
  std::string text =
      fmt::format("### {}\n\nSource: {}  \nTarget: {}  \nMarkers: {}\n\n", markdown_escape(test.test.name),
                  markdown_escape(test.test.source), markdown_escape(test.test.target),
                  markdown_escape(fmt::format("{}", fmt::join(test.test.markers, ", "))));
  text += test.test.note.empty() ? "" : markdown_escape(test.test.note) + "\n\n";
  text_table rows{{"Condition", "Trial", "Generated", "Tokens", "Stop"}};
  for (const condition_record& record : test.conditions) {
    for (std::size_t i = 0; i < record.trials.size(); ++i) {
      const trial_record& trial = record.trials[i];
      rows.push_back({record.id, fmt::format("{}", i + 1), trial.text, fmt::format("{}", trial.token_ids.size()),
                      fmt::format("{}{}", to_string(trial.stop), trial.stalled ? ", stalled" : "")});
    }
    if (record.not_applicable) {
      rows.push_back({record.id, "", fmt::format("{}: {}", not_applicable_text, *record.not_applicable), "", ""});
    }
  }
  return text + markdown_table(rows) + "\n";
}

std::string markdown_settings(const results& run) {
  text_table rows{{"Setting", "Value"}};
  const nlohmann::ordered_json settings = to_json_value(run.settings);
  for (const auto& field : settings.items()) {
    rows.push_back(
        {field.key(), field.value().is_string() ? field.value().template get<std::string>() : field.value().dump()});
  }
  return markdown_table(rows);
}

}  // namespace

std::string markdown_escape(std::string_view text) {
  std::string escaped;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') {
      escaped += " ⏎ ";
    } else if (static_cast<unsigned char>(text[i]) >= 0x20 || text[i] == '\t') {
      escaped += is_markup(text, i) ? std::string{'\\', text[i]} : std::string{text[i]};
    }
  }
  return escaped;
}

std::string report_markdown(const results& run, const run_summary& summary) {
  const bool few_tests = run.tests.size() <= most_tests_in_matrix;
  const finding found = finding_of(run, summary);
  std::string text = fmt::format("# {}\n\nKV-cache transfer: {}. {}\n\n", markdown_escape(found.headline),
                                 markdown_escape(run.suite_name), markdown_escape(run.suite_description));
  for (const std::string& sentence : found.sentences) {
    text += fmt::format("- {}\n", markdown_escape(sentence));
  }
  text += fmt::format("\n{}; RoPE: {}. {}; {}.\n\n## Result\n\n", markdown_escape(model_text(run.model)),
                      markdown_escape(rope_text(run.model)), machine_text(run.program), decoding_text(run.settings));
  text += markdown_escape(conclusion(run)) + "\n\n";
  if (few_tests) {
    for (const std::string& line : verdict_sentences(run)) {
      text += fmt::format("- {}\n", markdown_escape(line));
    }
  }
  const std::string origins = origin_note(run);
  text += fmt::format("\n{}\n\n{}{}\n", precision_note(run.program),
                      origins.empty() ? "" : markdown_escape(origins) + "\n\n",
                      markdown_table(few_tests ? own_table(run) : rate_table(summary)));
  if (!summary.comparisons.empty()) {
    text += fmt::format("## What was compared\n\n{}\n", markdown_table(comparison_table(run, summary)));
  }
  if (!run.left_out.empty()) {
    text += fmt::format("## Crossings left out\n\n{}\n", markdown_table(left_out_table(run)));
  }
  if (few_tests && !published_columns(run).empty()) {
    text += fmt::format(
        "Published: {}\n\n{}\n## Which harness gives which cell\n\nThe published report does not give its "
        "harness: these two are reconstructions.\n\n{}",
        markdown_escape(run.reported_by), markdown_table(published_table(run)), markdown_mistakes(run));
  }
  text += fmt::format("## Conditions\n\n{}\n## Generated texts\n\n", markdown_conditions(run));
  if (!few_tests) {
    text += fmt::format("The first {} of {} tests.\n\n", most_tests_in_matrix, run.tests.size());
  }
  for (std::size_t i = 0; i < std::min(run.tests.size(), most_tests_in_matrix); ++i) {
    text += markdown_texts(run.tests[i]);
  }
  return text + fmt::format("## Settings\n\nkvtransfer {}, libtorch {}, {} threads, model {}.\n\n{}",
                            run.program.version, run.program.libtorch, run.program.threads,
                            markdown_escape(run.model.path), markdown_settings(run));
}

}  // namespace kvtransfer::detail
