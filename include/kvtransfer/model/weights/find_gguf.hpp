#pragma once

#include <filesystem>
#include <optional>

namespace kvtransfer {

/// The GGUF file that a model's path means: the path itself where it ends in `.gguf`, or a folder's only such file
/// where the folder has no `config.json`. Nothing for any other path, which then is a folder in Hugging Face's layout.
/// @throws file_error for a folder without `config.json` that holds several
[[nodiscard]] std::optional<std::filesystem::path> find_gguf(const std::filesystem::path& path);

}  // namespace kvtransfer
