#include "experiment/free_name.hpp"

#include <fmt/format.h>

#include <system_error>

namespace kvtransfer::detail {

std::filesystem::path free_name(const std::filesystem::path& folder) {
  for (int number = 1;; ++number) {
    std::filesystem::path candidate = folder;
    candidate += fmt::format(".{}", number);
    if (std::error_code none; !std::filesystem::exists(std::filesystem::symlink_status(candidate, none))) {
      return candidate;
    }
  }
}

}  // namespace kvtransfer::detail
