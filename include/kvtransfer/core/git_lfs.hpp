#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// Refuses the small text that a clone without Git LFS has in the place of a large file. Source: the Git LFS
/// specification, whose pointer files begin so.
/// @param file named in the error
/// @throws file_error
inline void refuse_git_lfs_pointer(std::string_view content, std::string_view file) {
  constexpr std::string_view begin = "version https://git-lfs.github.com/spec/";
  if (content.starts_with(begin)) {
    fail<file_error>(file, "content", "the file itself",
                     "a Git LFS pointer, the file itself was not downloaded (git lfs pull)");
  }
}

/// The same of a file's bytes. @throws file_error
inline void refuse_git_lfs_pointer(std::span<const std::byte> content, std::string_view file) {
  refuse_git_lfs_pointer(std::string_view(reinterpret_cast<const char*>(content.data()), content.size()), file);
}

}  // namespace kvtransfer
