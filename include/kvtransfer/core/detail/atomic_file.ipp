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
#include <string_view>
#include <system_error>
#include <utility>

#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE atomic_file::atomic_file(std::filesystem::path target)
    : target_(std::move(target)), replaced_(behind_links(target_)) {
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

KVTRANSFER_INLINE atomic_file::~atomic_file() {
  if (descriptor_ >= 0) {
    discard();
  }
}

KVTRANSFER_INLINE void atomic_file::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
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

KVTRANSFER_INLINE void atomic_file::commit() {
  if (::fsync(descriptor_) != 0) {
    complain("data that reaches the disk");
  }
  if (::rename(partial_.c_str(), replaced_.c_str()) != 0) {
    complain("a name that can be taken");
  }
  ::close(std::exchange(descriptor_, -1));
  make_name_durable();
}

KVTRANSFER_INLINE std::filesystem::path atomic_file::behind_links(const std::filesystem::path& path) {
  constexpr int most_links = 40;  // as many as Linux follows
  std::filesystem::path behind = path;
  std::error_code ignored;
  for (int followed = 0; std::filesystem::is_symlink(behind, ignored); ++followed) {
    require<file_error>(followed < most_links, path.string(), "file", "at most 40 links to follow", "more");
    behind = behind.parent_path() / std::filesystem::read_symlink(behind, ignored);
  }
  return behind;
}

KVTRANSFER_INLINE void atomic_file::discard() {
  ::close(std::exchange(descriptor_, -1));
  ::unlink(partial_.c_str());
}

KVTRANSFER_INLINE void atomic_file::make_name_durable() const {
  const auto folder = replaced_.has_parent_path() ? replaced_.parent_path() : std::filesystem::path(".");
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor >= 0) {
    ::fsync(descriptor);
    ::close(descriptor);
  }
}

KVTRANSFER_INLINE void write_text(const std::filesystem::path& path, std::string_view text) {
  atomic_file file(path);
  file.write_at(0, std::as_bytes(std::span(text)));
  file.commit();
}

}  // namespace kvtransfer
