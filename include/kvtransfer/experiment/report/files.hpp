#pragma once

#include <filesystem>
#include <string>
#include <system_error>

#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/records_json.hpp"
#include "kvtransfer/experiment/report/html.hpp"
#include "kvtransfer/experiment/report/markdown.hpp"

namespace kvtransfer {

/// The results file's text.
inline std::string report_json(const results& run) { return json_text(to_json_value(run), 1) + "\n"; }

/// Makes a folder with those above it. @throws file_error
inline void make_folder(const std::filesystem::path& folder) {
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  if (problem || !std::filesystem::is_directory(folder)) {
    fail<file_error>(folder.string(), "output", "a folder that can be made",
                     problem ? problem.message() : "a file of that name");
  }
}

/// Writes `report.md`, `report.html` and then `NAME_transfer_results.json`, each whole or not at all; the last one
/// there means that all are. @throws file_error
inline void write_reports(const results& run, const std::filesystem::path& folder, const std::string& name) {
  make_folder(folder);
  write_text(folder / "report.md", report_markdown(run));
  write_text(folder / "report.html", report_html(run));
  write_text(folder / (name + "_transfer_results.json"), report_json(run));
}

}  // namespace kvtransfer
