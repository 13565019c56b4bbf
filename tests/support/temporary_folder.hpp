#pragma once

#include <ftw.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace kvtransfer::test {

/// A new, empty folder that goes away with the object.
class temporary_folder {
 public:
  temporary_folder() {
    static std::atomic<int> made{0};
    path_ = std::filesystem::temp_directory_path() /
            ("kvtransfer-test-" + std::to_string(::getpid()) + "-" + std::to_string(made++));
    std::filesystem::create_directories(path_);
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder() {
    // Not std::filesystem::remove_all: torch's wheel exports its own, of a newer compiler, which crashes in older ones.
    const auto remove = [](const char* path, const struct ::stat*, int, struct ::FTW*) { return ::remove(path); };
    ::nftw(path_.c_str(), remove, 16, FTW_DEPTH | FTW_PHYS);
  }

  const std::filesystem::path& path() const { return path_; }

  /// Writes a file into the folder and gives its path.
  std::filesystem::path put(std::string_view name, std::string_view content) const {
    const auto file = path_ / name;
    std::ofstream(file, std::ios::binary) << content;
    return file;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace kvtransfer::test
