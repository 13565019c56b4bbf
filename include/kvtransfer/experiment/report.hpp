#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer {

/// Writes `suite.json`, `cells.csv`, `summary.json`, `report.md`, `report.html` and then `NAME_transfer_results.json`,
/// each whole or not at all; the last one there means that all are. Makes the folder if there is none. @throws
/// file_error
void write_reports(const results& run, const std::filesystem::path& folder, const std::string& name);

/// The files that `write_reports` writes, in that order.
[[nodiscard]] std::vector<std::filesystem::path> report_files(const std::filesystem::path& folder,
                                                              const std::string& name);

/// The run for a terminal: the table in the report's form, the published one beside its reconstruction, the verdicts.
[[nodiscard]] std::string report_terminal(const results& run);

}  // namespace kvtransfer
