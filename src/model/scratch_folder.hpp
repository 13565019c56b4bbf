#pragma once

#include <stdlib.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <system_error>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

/// A folder for one file, which goes away with the object.
class scratch_folder {
 public:
  scratch_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "kvtransfer-XXXXXX").string();
    require<file_error>(::mkdtemp(name.data()) != nullptr, name, "folder", "one that can be made",
                        std::generic_category().message(errno));
    path_ = name;
  }
  scratch_folder(const scratch_folder&) = delete;
  scratch_folder& operator=(const scratch_folder&) = delete;
  ~scratch_folder() {
    ::unlink(file().c_str());
    ::rmdir(path_.c_str());
  }
  [[nodiscard]] std::filesystem::path file() const { return path_ / "moved.safetensors"; }

 private:
  std::filesystem::path path_;
};

}  // namespace kvtransfer::detail
