#include "kvtransfer/model/weights/find_gguf.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <system_error>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

std::optional<std::filesystem::path> find_gguf(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(path, ignored)) {
    return path.extension() == ".gguf" ? std::optional(path) : std::nullopt;
  }
  if (std::filesystem::exists(path / "config.json", ignored)) {
    return std::nullopt;
  }
  std::optional<std::filesystem::path> found;
  std::size_t count = 0;
  for (std::filesystem::directory_iterator entry(path, ignored), end; !ignored && entry != end;
       entry.increment(ignored)) {
    if (entry->path().extension() == ".gguf") {
      found = entry->path();
      ++count;
    }
  }
  if (count > 1) {
    fail<file_error>(path.string(), "model", "config.json, or one file that ends in .gguf",
                     fmt::format("{} of them", count));
  }
  return found;
}

}  // namespace kvtransfer
