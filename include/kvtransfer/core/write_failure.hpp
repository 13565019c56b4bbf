#pragma once

#include <cerrno>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// Throws what it means that the system refuses to write a file.
/// @param what the step, as "write" @param expected as "room for the data"
/// @param reason the `errno` of the call
/// @throws full_disk_error where the disk, the quota or the limit on a file's size leaves no room; file_error else
[[noreturn]] inline void fail_to_write(const std::filesystem::path& file, std::string_view what,
                                       std::string_view expected, int reason) {
  const std::string got = std::generic_category().message(reason);
  if (reason == ENOSPC || reason == EDQUOT || reason == EFBIG) {
    fail<full_disk_error>(file.string(), what, expected, got);
  }
  fail<file_error>(file.string(), what, expected, got);
}

}  // namespace kvtransfer
