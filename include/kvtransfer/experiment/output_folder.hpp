#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kvtransfer {

/// Where the trials of a run are kept from the first one on.
[[nodiscard]] std::filesystem::path records_file(const std::filesystem::path& folder);

/// Where one process of several keeps the trials that it finishes, until they are put into `records_file`.
[[nodiscard]] std::filesystem::path records_file_of_rank(const std::filesystem::path& folder, std::int64_t rank);

/// Those of all processes that there are, those that an interrupted run has left included, in the order of their names.
[[nodiscard]] std::vector<std::filesystem::path> records_files_of_ranks(const std::filesystem::path& folder);

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
