#include "kvtransfer/experiment/report.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "experiment/cells_csv.hpp"
#include "experiment/make_folder.hpp"
#include "experiment/records_json.hpp"
#include "experiment/report/cells.hpp"
#include "experiment/report/findings.hpp"
#include "experiment/report/headings.hpp"
#include "experiment/report/html.hpp"
#include "experiment/report/markdown.hpp"
#include "experiment/report/tables.hpp"
#include "experiment/report/verdicts.hpp"
#include "experiment/summary_json.hpp"
#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/experiment/output_folder.hpp"
#include "kvtransfer/experiment/suite.hpp"
#include "kvtransfer/experiment/summary.hpp"

namespace kvtransfer {

namespace {

void write_results(const std::filesystem::path& path, const results& run) {
  constexpr std::size_t enough = std::size_t{1} << 20;  // bytes that are worth a call of the system's
  atomic_file file(path);
  std::uint64_t written = 0;
  std::string held;
  const auto write = [&] {
    file.write_at(written, std::as_bytes(std::span(held)));
    written += held.size();
    held.clear();
  };
  detail::write_report_json(run, [&](std::string_view piece) {
    held += piece;
    if (held.size() >= enough) {
      write();
    }
  });
  write();
  file.commit();
}

}  // namespace

void write_reports(const results& run, const std::filesystem::path& folder, const std::string& name) {
  detail::make_folder(folder);
  const run_summary summary = summarize(run);
  suite tests{run.suite_name, run.suite_description, run.reported_by, {}, run.metric};
  for (const test_record& test : run.tests) {
    tests.tests.push_back(test.test);
  }
  write_text(folder / "suite.json", suite_text(tests));
  write_text(folder / "cells.csv", detail::cells_csv(run));
  write_text(folder / "summary.json", detail::json_text(detail::summary_json(run, summary), 1) + "\n");
  write_text(folder / "report.md", detail::report_markdown(run, summary));
  write_text(folder / "report.html", detail::report_html(run, summary));
  write_results(results_file(folder, name), run);
}

std::vector<std::filesystem::path> report_files(const std::filesystem::path& folder, const std::string& name) {
  std::vector<std::filesystem::path> files;
  for (const char* file : {"suite.json", "cells.csv", "summary.json", "report.md", "report.html"}) {
    files.push_back(folder / file);
  }
  files.push_back(results_file(folder, name));
  return files;
}

std::string report_terminal(const results& run) {
  const run_summary summary = summarize(run);
  const bool few_tests = run.tests.size() <= detail::most_tests_in_matrix;
  std::string text = fmt::format("{}\n{}; {}\n\n", detail::model_text(run.model), detail::machine_text(run.program),
                                 detail::decoding_text(run.settings));
  text += detail::aligned(few_tests ? detail::own_table(run) : detail::rate_table(summary));
  if (few_tests && !detail::published_columns(run).empty()) {
    text += fmt::format("\nPublished: {}\n{}", run.reported_by, detail::aligned(detail::published_table(run)));
  }
  if (!summary.comparisons.empty() && !few_tests) {
    text += fmt::format("\n{}", detail::aligned(detail::comparison_table(run, summary)));
  }
  text += '\n';
  const detail::finding found = detail::finding_of(run, summary);
  text += found.headline + '\n';
  for (const std::string& sentence : found.sentences) {
    text += sentence + '\n';
  }
  for (const std::string& line : detail::verdict_sentences(run)) {
    text += few_tests ? line + '\n' : std::string();
  }
  return text;
}

}  // namespace kvtransfer
