#pragma once

#include <filesystem>

namespace kvtransfer::detail {

/// A file of one run, open for reading and for writing at its end, that no other run can lock meanwhile. It is made
/// where there is none.
class file_lock {
 public:
  /// @throws file_error if the file can't be opened or another run holds it
  explicit file_lock(const std::filesystem::path& path);

  file_lock(const file_lock&) = delete;
  file_lock& operator=(const file_lock&) = delete;
  ~file_lock();

  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

}  // namespace kvtransfer::detail
