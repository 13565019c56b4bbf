#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <span>

namespace kvtransfer {

/// A regular file in memory, read page by page as it is touched; unmapped with the last owner.
///
/// The mapping is private: writing to its bytes changes this process's copy of a page, never the file. A file that
/// somebody shortens while it is mapped kills the process (SIGBUS), as with every memory map; writers that replace it
/// by a rename, like `atomic_file`, are harmless. One that is written in place is found out: see `require_unchanged`.
class mapped_file {
 public:
  /// @throws file_error
  [[nodiscard]] static std::shared_ptr<const mapped_file> open(const std::filesystem::path& path);

  mapped_file(const mapped_file&) = delete;
  mapped_file& operator=(const mapped_file&) = delete;
  ~mapped_file();

  /// As given to `open`.
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  /// The whole content, as long as this object lives; empty for an empty file. Writing changes this process's copy
  /// alone.
  [[nodiscard]] std::span<std::byte> bytes() const { return {static_cast<std::byte*>(data_), size_}; }

  /// Reads bytes of the file itself: what was written to the mapping does not show.
  /// @param begin offset in the file
  /// @throws file_error where the system gives fewer
  void read(std::size_t begin, std::span<std::byte> into) const;

  /// Asks the system whether somebody has written to the file since it was mapped: pages that were not yet read would
  /// then show the new content beside the old.
  /// @throws file_error where its length or the time of its last change is another
  void require_unchanged() const;

  /// The same for the file whose mapping holds `address`, where there is one: for whoever has its bytes by address
  /// alone.
  static void require_unchanged_at(const void* address);

 private:
  /// The files that are mapped, by address.
  class file_list {
   public:
    void add(std::uintptr_t begin, const mapped_file* file);
    void remove(std::uintptr_t begin);
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

  static file_list& known_files() {      // defined here in every mode, so that a process has one
    static auto* files = new file_list;  // never destroyed: a mapping may outlive every other static object
    return *files;
  }

  explicit mapped_file(const std::filesystem::path& path);

  /// Waits until the clock that files have their times from, which ticks every few milliseconds, has passed the time of
  /// the file's last change: a write that comes later then has another time. A time that lies ahead is not waited for.
  /// @return whether the file can be asked for its times
  [[nodiscard]] bool outlives_its_tick();

  [[nodiscard]] std::uintptr_t address() const { return reinterpret_cast<std::uintptr_t>(data_); }

  [[noreturn]] void complain(const char* expected) const;

  std::filesystem::path path_;
  void* data_ = nullptr;
  std::size_t size_ = 0;
  int descriptor_ = -1;
  struct stat opened_{};
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/core/detail/mapped_file.ipp"  // IWYU pragma: export
#endif
