#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "kvtransfer/experiment/records.hpp"

namespace kvtransfer::detail {

/// Makes room for the reports of `run`, which went on with the trials in `folder`. Where those that lie there tell of a
/// trial that `run` does not, of another condition say, they are moved to `FOLDER.1`, or the first number that is free,
/// or where files can't go there to `FOLDER/reports.1`; the records of both stay.
/// @return where they are now, if they were moved
/// @throws file_error if they can't be moved
[[nodiscard]] std::optional<std::filesystem::path> set_reports_aside(const results& run,
                                                                     const std::filesystem::path& folder,
                                                                     const std::string& name);

}  // namespace kvtransfer::detail
