#include "experiment/make_folder.hpp"

#include <system_error>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/write_failure.hpp"

namespace kvtransfer::detail {

void make_folder(const std::filesystem::path& folder) {
  std::error_code problem;
  const auto target = std::filesystem::read_symlink(folder, problem);
  require<file_error>(problem || std::filesystem::exists(folder, problem), folder.string(), "output",
                      "a folder that can be made", formatted("a link to {}, which is not there", target.string()));
  std::filesystem::create_directories(folder, problem);
  if (problem) {
    fail_to_write(folder, "output", "a folder that can be made", problem.value());
  }
  require<file_error>(std::filesystem::is_directory(folder, problem), folder.string(), "output",
                      "a folder that can be made", "a file of that name");
}

}  // namespace kvtransfer::detail
