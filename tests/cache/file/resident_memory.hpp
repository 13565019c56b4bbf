#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "kvtransfer/core/mapped_file.hpp"

namespace kvtransfer::test {

/// Anonymous memory of this process, bytes: what it would take away from others. Mapped files don't count, the kernel
/// may drop them.
inline std::uint64_t anonymous_bytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  std::uint64_t kilobytes = 0;
  while (status >> word) {
    if (word == "RssAnon:") {
      status >> kilobytes;
      break;
    }
  }
  return kilobytes * 1024;
}

/// Which pages of a file are in memory, whoever brought them there.
inline std::vector<bool> resident_pages(const std::filesystem::path& path) {
  const auto mapping = mapped_file::open(path);
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  std::vector<unsigned char> raw((mapping->bytes().size() + page - 1) / page);
  ::mincore(mapping->bytes().data(), mapping->bytes().size(), raw.data());
  std::vector<bool> resident;
  for (const unsigned char flags : raw) {
    resident.push_back((flags & 1) != 0);
  }
  return resident;
}

/// Drops a file that nobody maps from memory. False where the file system keeps its files there.
inline bool forget_pages(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ::fsync(descriptor);
  ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
  ::close(descriptor);
  for (const bool resident : resident_pages(path)) {
    if (resident) {
      return false;
    }
  }
  return true;
}

}  // namespace kvtransfer::test
