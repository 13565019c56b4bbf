#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <filesystem>
#include <set>
#include <string>
#include <system_error>

#include "kvtransfer/core/error.hpp"

namespace phase2a {

/// What `--model` means: a path, or the name of a folder of `models` where no such path exists.
/// @throws value_error for a name that is neither, listing the folders
inline std::filesystem::path model_path(const std::filesystem::path& named, const std::filesystem::path& models) {
  std::error_code ignored;
  if (named != named.filename() || std::filesystem::exists(named, ignored)) {
    return named;
  }
  if (!named.empty() && std::filesystem::exists(models / named, ignored)) {
    return models / named;
  }
  std::set<std::string> known;
  for (std::filesystem::directory_iterator entry(models, ignored), end; !ignored && entry != end;
       entry.increment(ignored)) {
    if (entry->is_directory(ignored)) {
      known.insert(entry->path().filename().string());
    }
  }
  kvtransfer::fail<kvtransfer::value_error>(
      "--model", "name",
      fmt::format("a path, or one of {} (fetch.py beside them fetches others)", fmt::join(known, ", ")),
      fmt::format("\"{}\"", named.string()));
}

}  // namespace phase2a
