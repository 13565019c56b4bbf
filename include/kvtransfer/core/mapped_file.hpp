#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <system_error>
#include <thread>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// A regular file in memory, read page by page as it is touched; unmapped with the last owner.
///
/// The mapping is private: writing to its bytes changes this process's copy of a page, never the file. A file that
/// somebody shortens while it is mapped kills the process (SIGBUS), as with every memory map; writers that replace it
/// by a rename, like `atomic_file`, are harmless. One that is written in place is found out: see `require_unchanged`.
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
      known_files().remove(address());
      ::munmap(data_, size_);
    }
    ::close(descriptor_);
  }

  /// As given to `open`.
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// The whole content, as long as this object lives; empty for an empty file. Writing changes this process's copy
  /// alone.
  [[nodiscard]] std::span<std::byte> bytes() const { return {static_cast<std::byte*>(data_), size_}; }

  /// Reads bytes of the file itself: what was written to the mapping does not show.
  /// @param begin offset in the file
  /// @throws file_error where the system gives fewer
  void read(std::size_t begin, std::span<std::byte> into) const {
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

  /// Asks the system whether somebody has written to the file since it was mapped: pages that were not yet read would
  /// then show the new content beside the old.
  /// @throws file_error where its length or the time of its last change is another
  void require_unchanged() const {
    struct stat now{};
    if (::fstat(descriptor_, &now) != 0 || now.st_size != opened_.st_size ||
        now.st_mtim.tv_sec != opened_.st_mtim.tv_sec || now.st_mtim.tv_nsec != opened_.st_mtim.tv_nsec) {
      fail<file_error>(path_.string(), "file", "the file as it was mapped (open it again)",
                       "a file that was written to since");
    }
  }

  /// The same for the file whose mapping holds `address`, where there is one: for whoever has its bytes by address
  /// alone.
  static void require_unchanged_at(const void* address) {
    known_files().visit(reinterpret_cast<std::uintptr_t>(address),
                        [](const mapped_file& file) { file.require_unchanged(); });
  }

 private:
  /// The files that are mapped, by address.
  class file_list {
   public:
    void add(std::uintptr_t begin, const mapped_file* file) {
      const std::scoped_lock lock(mutex_);
      files_[begin] = file;
      count_ = files_.size();
    }
    void remove(std::uintptr_t begin) {
      const std::scoped_lock lock(mutex_);
      files_.erase(begin);
      count_ = files_.size();
    }
    template <class Visit>
    void visit(std::uintptr_t address, Visit&& visit) const {
      if (count_ == 0) {
        return;
      }
      const std::scoped_lock lock(mutex_);
      const auto behind = files_.upper_bound(address);
      if (behind != files_.begin() && address - std::prev(behind)->first < std::prev(behind)->second->size_) {
        visit(*std::prev(behind)->second);
      }
    }

   private:
    mutable std::mutex mutex_;
    std::map<std::uintptr_t, const mapped_file*> files_;
    std::atomic<std::size_t> count_ = 0;
  };

  static file_list& known_files() {
    static auto* files = new file_list;  // never destroyed: a mapping may outlive every other static object
    return *files;
  }

  explicit mapped_file(const std::filesystem::path& path) : path_(path) {
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

  /// Waits until the clock that files have their times from, which ticks every few milliseconds, has passed the time of
  /// the file's last change: a write that comes later then has another time. A time that lies ahead is not waited for.
  /// @return whether the file can be asked for its times
  [[nodiscard]] bool outlives_its_tick() {
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

  [[nodiscard]] std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(data_); }

  [[noreturn]] void complain(const char* expected) const {
    fail<file_error>(path_.string(), "file", expected, std::generic_category().message(errno));
  }

  std::filesystem::path path_;
  void* data_ = nullptr;
  std::size_t size_ = 0;
  int descriptor_ = -1;
  struct stat opened_{};
};

}  // namespace kvtransfer
