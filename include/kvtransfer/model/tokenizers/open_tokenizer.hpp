#pragma once

#include <filesystem>

#include "kvtransfer/model/tokenizers/any_tokenizer.hpp"

namespace kvtransfer {

/// Opens the tokenizer of a model's folder: `tokenizer.json` where there is one, else `tokenizer.model`. Of a GGUF
/// file, or a folder that holds one and no `config.json`, it is the one that the file's metadata describes.
///
/// `tokenizer_config.json`, `special_tokens_map.json`, `added_tokens.json` and `config.json` are read where they are
/// there: they name BOS and EOS, say whether BOS is added, and for SentencePiece add tokens.
/// @throws file_error for a missing or malformed file, and for a part that is not known, by its name
/// Source: the `tokenizers` package, version 0.23, for tokenizer.json; SentencePiece and LlamaTokenizer of transformers
/// for tokenizer.model.
[[nodiscard]] any_tokenizer open_tokenizer(const std::filesystem::path& path);

}  // namespace kvtransfer
