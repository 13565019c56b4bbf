#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// A file that appears under its name whole or not at all: bytes go to a neighbour that `commit` syncs and renames.
///
/// Until then the old file, if any, stays as it is. Without `commit` (an exception, say) the neighbour is removed; a
/// killed process leaves it behind under a name ending in `.partial-…`.
class atomic_file {
 public:
  /// @throws file_error if the folder does not take a new file
  explicit atomic_file(std::filesystem::path target) : target_(std::move(target)) {
    static std::atomic<unsigned> created{0};
    if (std::error_code ignored; std::filesystem::is_directory(target_, ignored)) {
      fail<file_error>(target_.string(), "file", "a file to write", "a folder");
    }
    do {
      partial_ = target_;
      partial_ += fmt::format(".partial-{}-{}", ::getpid(), created++);
      descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (descriptor_ < 0 && errno == EEXIST);
    if (descriptor_ < 0) {
      complain("a file that can be created");
    }
  }

  atomic_file(const atomic_file&) = delete;
  atomic_file& operator=(const atomic_file&) = delete;
  ~atomic_file() {
    if (descriptor_ >= 0) {
      ::close(descriptor_);
      ::unlink(partial_.c_str());
    }
  }

  /// The name that the file gets, not the neighbour's.
  const std::filesystem::path& path() const { return target_; }

  /// Puts bytes at an offset; ranges may come in any order. @throws file_error
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ::ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<::off_t>(offset));
      if (written < 0 && errno == EINTR) {
        continue;
      }
      if (written <= 0) {
        complain("room for the data");
      }
      offset += static_cast<std::uint64_t>(written);
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }

  /// Makes the content durable and gives it its name, replacing an older file. @throws file_error
  void commit() {
    if (::fsync(descriptor_) != 0) {
      complain("data that reaches the disk");
    }
    if (::rename(partial_.c_str(), target_.c_str()) != 0) {
      complain("a name that can be taken");
    }
    ::close(std::exchange(descriptor_, -1));
    make_name_durable();
  }

 private:
  [[noreturn]] void complain(std::string_view expected) const {
    fail<file_error>(target_.string(), "write", expected, std::generic_category().message(errno));
  }

  /// Some file systems refuse to sync a folder; the data is safe by then, so that is no error.
  void make_name_durable() const {
    const auto folder = target_.has_parent_path() ? target_.parent_path() : std::filesystem::path(".");
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor >= 0) {
      ::fsync(descriptor);
      ::close(descriptor);
    }
  }

  std::filesystem::path target_;
  std::filesystem::path partial_;
  int descriptor_ = -1;
};

/// Writes a whole text file atomically. @throws file_error
inline void write_text(const std::filesystem::path& path, std::string_view text) {
  atomic_file file(path);
  file.write_at(0, std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace kvtransfer
