#include "kvtransfer/experiment/report.hpp"

#include <fmt/format.h>

#include "experiment/make_folder.hpp"
#include "experiment/records_json.hpp"
#include "experiment/report/cells.hpp"
#include "experiment/report/headings.hpp"
#include "experiment/report/html.hpp"
#include "experiment/report/markdown.hpp"
#include "experiment/report/tables.hpp"
#include "experiment/report/verdicts.hpp"
#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/experiment/output_folder.hpp"

namespace kvtransfer {

void write_reports(const results& run, const std::filesystem::path& folder, const std::string& name) {
  detail::make_folder(folder);
  write_text(folder / "report.md", detail::report_markdown(run));
  write_text(folder / "report.html", detail::report_html(run));
  write_text(results_file(folder, name), detail::report_json(run));
}

std::string report_terminal(const results& run) {
  std::string text = fmt::format("{}\n{}; {}\n\n", detail::model_text(run.model), detail::machine_text(run.program),
                                 detail::decoding_text(run.settings));
  text += detail::aligned(detail::own_table(run));
  if (!detail::published_columns(run).empty()) {
    text += fmt::format("\nPublished: {}\n{}", run.reported_by, detail::aligned(detail::published_table(run)));
  }
  text += '\n';
  for (const std::string& line : detail::verdict_sentences(run)) {
    text += line + '\n';
  }
  return text;
}

}  // namespace kvtransfer
