#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <system_error>
#include <thread>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/mapped_file.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE std::shared_ptr<const mapped_file> mapped_file::open(const std::filesystem::path& path) {
  return std::shared_ptr<const mapped_file>(new mapped_file(path));
}

KVTRANSFER_INLINE mapped_file::~mapped_file() {
  if (size_ > 0) {
    known_files().remove(address());
    ::munmap(data_, size_);
  }
  ::close(descriptor_);
}

KVTRANSFER_INLINE void mapped_file::read(std::size_t begin, std::span<std::byte> into) const {
  while (!into.empty()) {
    const ::ssize_t count = ::pread(descriptor_, into.data(), into.size(), static_cast<::off_t>(begin));
    if (count < 0 && errno == EINTR) {
      continue;
    }
    require<file_error>(count > 0, path_.string(), "file", formatted("{} bytes at {}", into.size(), begin),
                        [&] { return count < 0 ? std::generic_category().message(errno) : "its end"; });
    into = into.subspan(static_cast<std::size_t>(count));
    begin += static_cast<std::size_t>(count);
  }
}

KVTRANSFER_INLINE void mapped_file::require_unchanged() const {
  struct stat now{};
  if (::fstat(descriptor_, &now) != 0 || now.st_size != opened_.st_size ||
      now.st_mtim.tv_sec != opened_.st_mtim.tv_sec || now.st_mtim.tv_nsec != opened_.st_mtim.tv_nsec) {
    fail<file_error>(path_.string(), "file", "the file as it was mapped (open it again)",
                     "a file that was written to since");
  }
}

KVTRANSFER_INLINE void mapped_file::require_unchanged_at(const void* address) {
  known_files().visit(reinterpret_cast<std::uintptr_t>(address),
                      [](const mapped_file& file) { file.require_unchanged(); });
}

KVTRANSFER_INLINE void mapped_file::file_list::add(std::uintptr_t begin, const mapped_file* file) {
  const std::scoped_lock lock(mutex_);
  files_[begin] = file;
  count_ = files_.size();
}

KVTRANSFER_INLINE void mapped_file::file_list::remove(std::uintptr_t begin) {
  const std::scoped_lock lock(mutex_);
  files_.erase(begin);
  count_ = files_.size();
}

KVTRANSFER_INLINE mapped_file::mapped_file(const std::filesystem::path& path) : path_(path) {
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) {
    complain("a readable file");
  }
  const bool known = ::fstat(descriptor_, &opened_) == 0 && outlives_its_tick();
  if (!known || !S_ISREG(opened_.st_mode)) {
    ::close(descriptor_);
    fail<file_error>(path.string(), "file", "a regular file", "something else");
  }
  size_ = static_cast<std::size_t>(opened_.st_size);
  if (size_ > 0) {
    data_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, descriptor_, 0);
  }
  if (data_ == MAP_FAILED) {
    ::close(descriptor_);
    complain("a file that can be mapped");
  }
  if (size_ > 0) {
    known_files().add(address(), this);
  }
}

KVTRANSFER_INLINE bool mapped_file::outlives_its_tick() {
  constexpr std::chrono::milliseconds longest{50};
  const auto time_of = [](const ::timespec& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  };
  for (;;) {
    ::timespec clock{};
    ::clock_gettime(CLOCK_REALTIME_COARSE, &clock);
    const auto ahead = time_of(opened_.st_mtim) - time_of(clock);
    if (ahead < ahead.zero() || ahead > longest) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (::fstat(descriptor_, &opened_) != 0) {
      return false;
    }
  }
}

KVTRANSFER_INLINE void mapped_file::complain(const char* expected) const {
  fail<file_error>(path_.string(), "file", expected, std::generic_category().message(errno));
}

}  // namespace kvtransfer
