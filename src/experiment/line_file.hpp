#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <string_view>

#include "experiment/file_lock.hpp"

namespace kvtransfer::detail {

/// A file of whole lines that one run at a time writes to. What is appended outlives the process, however that ends. It
/// is synced to the disk, which takes as long as a short trial, at most once a second: a power failure may take what
/// was appended since.
class line_file {
 public:
  /// Opens the file, or makes it. @throws file_error if it can't be written or another run holds it
  explicit line_file(std::filesystem::path path);

  line_file(const line_file&) = delete;
  line_file& operator=(const line_file&) = delete;
  /// Syncs the file.
  ~line_file();

  /// Leaves the first `bytes` of the file. @throws file_error, full_disk_error
  void cut_to(std::size_t bytes);

  /// Appends whole lines, and syncs the file if a second has passed since that was last done.
  /// @throws file_error, full_disk_error if they can't be written: the file is then as it was
  void append(std::string_view lines);

  /// All that was appended is on the disk when this returns. @throws file_error, full_disk_error
  void sync();

 private:
  using clock = std::chrono::steady_clock;

  std::filesystem::path path_;
  file_lock file_;
  bool is_synced_ = true;
  clock::time_point synced_at_ = clock::now();
};

}  // namespace kvtransfer::detail
