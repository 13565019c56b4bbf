#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <system_error>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// A regular file in memory, read page by page as it is touched; unmapped with the last owner.
///
/// The mapping is private: writing to its bytes changes this process's copy of a page, never the file. A file that
/// somebody shortens while it is mapped kills the process (SIGBUS), as with every memory map; writers that replace it
/// by a rename, like `atomic_file`, are harmless.
class mapped_file {
 public:
  /// @throws file_error
  [[nodiscard]] static std::shared_ptr<const mapped_file> open(const std::filesystem::path& path) {
    return std::shared_ptr<const mapped_file>(new mapped_file(path));
  }

  mapped_file(const mapped_file&) = delete;
  mapped_file& operator=(const mapped_file&) = delete;
  ~mapped_file() {
    if (size_ > 0) {
      ::munmap(data_, size_);
    }
  }

  /// As given to `open`.
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// The whole content, as long as this object lives; empty for an empty file. Writing changes this process's copy
  /// alone.
  [[nodiscard]] std::span<std::byte> bytes() const { return {static_cast<std::byte*>(data_), size_}; }

 private:
  explicit mapped_file(const std::filesystem::path& path) : path_(path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
      complain("a readable file");
    }
    struct stat status{};
    const bool known = ::fstat(descriptor, &status) == 0;
    if (!known || !S_ISREG(status.st_mode)) {
      ::close(descriptor);
      fail<file_error>(path.string(), "file", "a regular file", "something else");
    }
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ > 0) {
      data_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, descriptor, 0);
    }
    ::close(descriptor);
    if (data_ == MAP_FAILED) {
      size_ = 0;
      complain("a file that can be mapped");
    }
  }

  [[noreturn]] void complain(const char* expected) const {
    fail<file_error>(path_.string(), "file", expected, std::generic_category().message(errno));
  }

  std::filesystem::path path_;
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace kvtransfer
