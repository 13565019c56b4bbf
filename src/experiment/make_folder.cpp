#include "experiment/make_folder.hpp"

#include <system_error>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

void make_folder(const std::filesystem::path& folder) {
  std::error_code problem;
  std::filesystem::create_directories(folder, problem);
  if (problem || !std::filesystem::is_directory(folder, problem)) {
    fail<file_error>(folder.string(), "output", "a folder that can be made",
                     problem ? problem.message() : "a file of that name");
  }
}

}  // namespace kvtransfer::detail
