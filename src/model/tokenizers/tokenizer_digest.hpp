#pragma once

#include <filesystem>
#include <string>

namespace kvtransfer::detail {

/// The digest of what decides on the token ids of a text: names and bytes of the files that `open_tokenizer` reads
/// beside config.json, and of a chat template in a file of its own; of a GGUF file, its metadata on the tokenizer.
/// @param path a model's folder, or its GGUF file
/// @return 32 hexadecimal digits; empty where there is no tokenizer
/// @throws file_error for a file that cannot be read
[[nodiscard]] std::string tokenizer_digest(const std::filesystem::path& path);

}  // namespace kvtransfer::detail
