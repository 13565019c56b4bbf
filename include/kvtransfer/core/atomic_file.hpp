#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

#include "kvtransfer/core/write_failure.hpp"

namespace kvtransfer {

/// A file that appears under its name whole or not at all: bytes go to a neighbour that `commit` syncs and renames.
///
/// Until then the old file, if any, stays as it is. Without `commit` (an exception, say) the neighbour is removed; a
/// killed process leaves it behind under a name ending in `.partial-…`. The new file has the mode of the old one, and a
/// symbolic link stays: what it points to is replaced.
class atomic_file {
 public:
  /// @throws file_error if the folder does not take a new file, or something else than a file has its name
  explicit atomic_file(std::filesystem::path target);

  atomic_file(const atomic_file&) = delete;
  atomic_file& operator=(const atomic_file&) = delete;
  ~atomic_file();

  /// The name that the file gets, not the neighbour's.
  [[nodiscard]] const std::filesystem::path& path() const { return target_; }

  /// Puts bytes at an offset; ranges may come in any order.
  /// @throws file_error, full_disk_error
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);

  /// Makes the content durable and gives it its name, replacing an older file. @throws file_error, full_disk_error
  void commit();

 private:
  /// Where a path leads to, whether or not there is something yet. @throws file_error for links without an end
  static std::filesystem::path behind_links(const std::filesystem::path& path);

  void discard();

  [[noreturn]] void complain(std::string_view expected) const { fail_to_write(target_, "write", expected, errno); }

  /// Some file systems refuse to sync a folder; the data is safe by then, so that is no error.
  void make_name_durable() const;

  std::filesystem::path target_;
  std::filesystem::path replaced_;  // the target, or where its links lead to
  std::filesystem::path partial_;
  int descriptor_ = -1;
};

/// Writes a whole text file atomically. @throws file_error, full_disk_error
void write_text(const std::filesystem::path& path, std::string_view text);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/core/detail/atomic_file.ipp"  // IWYU pragma: export
#endif
