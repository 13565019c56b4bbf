#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace kvtransfer {

/// Where the trials of a run are kept from the first one on.
[[nodiscard]] std::filesystem::path records_file(const std::filesystem::path& folder);

/// Where the results of a finished run of the program `name` are.
[[nodiscard]] std::filesystem::path results_file(const std::filesystem::path& folder, const std::string& name);

/// Makes the folder that a run of the program `name` writes to, with those above it. A folder that holds results or
/// trials of an earlier run, which this one does not resume, is first renamed `FOLDER.1`, or the first number that is
/// free: a run deletes nothing of another's.
/// @return where the earlier run's files are now, if there were any
/// @throws file_error if the folder can't be made or renamed, if the working folder lies in a folder to be renamed, or
/// if the earlier run is still in progress
[[nodiscard]] std::optional<std::filesystem::path> make_output_folder(const std::filesystem::path& folder,
                                                                      const std::string& name, bool resume);

}  // namespace kvtransfer
