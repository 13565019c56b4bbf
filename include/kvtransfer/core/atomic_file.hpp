#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
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
  explicit atomic_file(std::filesystem::path target) : target_(std::move(target)), replaced_(behind_links(target_)) {
    static std::atomic<unsigned> created{0};
    struct stat old{};
    const bool exists = ::stat(replaced_.c_str(), &old) == 0;
    if (exists && !S_ISREG(old.st_mode)) {  // a rename would put a file in place of a device too
      fail<file_error>(target_.string(), "file", "a file to write", S_ISDIR(old.st_mode) ? "a folder" : "no file");
    }
    do {
      partial_ = replaced_;
      partial_ += fmt::format(".partial-{}-{}", ::getpid(), created++);
      descriptor_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    } while (descriptor_ < 0 && errno == EEXIST);
    if (descriptor_ < 0) {
      complain("a file that can be created");
    }
    if (exists && ::fchmod(descriptor_, old.st_mode & 07777) != 0) {
      const int reason = errno;
      discard();
      errno = reason;
      complain("a file that takes the mode of the old one");
    }
  }

  atomic_file(const atomic_file&) = delete;
  atomic_file& operator=(const atomic_file&) = delete;
  ~atomic_file() {
    if (descriptor_ >= 0) {
      discard();
    }
  }

  /// The name that the file gets, not the neighbour's.
  [[nodiscard]] const std::filesystem::path& path() const { return target_; }

  /// Puts bytes at an offset; ranges may come in any order.
  /// @throws file_error, full_disk_error
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

  /// Makes the content durable and gives it its name, replacing an older file. @throws file_error, full_disk_error
  void commit() {
    if (::fsync(descriptor_) != 0) {
      complain("data that reaches the disk");
    }
    if (::rename(partial_.c_str(), replaced_.c_str()) != 0) {
      complain("a name that can be taken");
    }
    ::close(std::exchange(descriptor_, -1));
    make_name_durable();
  }

 private:
  /// Where a path leads to, whether or not there is something yet. @throws file_error for links without an end
  static std::filesystem::path behind_links(const std::filesystem::path& path) {
    constexpr int most_links = 40;  // as many as Linux follows
    std::filesystem::path behind = path;
    std::error_code ignored;
    for (int followed = 0; std::filesystem::is_symlink(behind, ignored); ++followed) {
      require<file_error>(followed < most_links, path.string(), "file", "at most 40 links to follow", "more");
      behind = behind.parent_path() / std::filesystem::read_symlink(behind, ignored);
    }
    return behind;
  }

  void discard() {
    ::close(std::exchange(descriptor_, -1));
    ::unlink(partial_.c_str());
  }

  [[noreturn]] void complain(std::string_view expected) const { fail_to_write(target_, "write", expected, errno); }

  /// Some file systems refuse to sync a folder; the data is safe by then, so that is no error.
  void make_name_durable() const {
    const auto folder = replaced_.has_parent_path() ? replaced_.parent_path() : std::filesystem::path(".");
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor >= 0) {
      ::fsync(descriptor);
      ::close(descriptor);
    }
  }

  std::filesystem::path target_;
  std::filesystem::path replaced_;  // the target, or where its links lead to
  std::filesystem::path partial_;
  int descriptor_ = -1;
};

/// Writes a whole text file atomically. @throws file_error, full_disk_error
inline void write_text(const std::filesystem::path& path, std::string_view text) {
  atomic_file file(path);
  file.write_at(0, std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace kvtransfer
