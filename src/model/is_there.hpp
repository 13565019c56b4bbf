#pragma once

#include <filesystem>
#include <system_error>

namespace kvtransfer::detail {

/// Whether `path` exists; one that can't be asked about does not.
[[nodiscard]] inline bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

}  // namespace kvtransfer::detail
