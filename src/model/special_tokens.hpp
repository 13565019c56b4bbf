#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace kvtransfer::detail {

/// The tokens that begin and end a text.
struct special_tokens {
  std::optional<std::int64_t> bos;
  std::vector<std::int64_t> eos;  ///< each one ends a text
};

/// BOS and EOS of a model's folder: `tokenizer_config.json` where it names them, else `config.json`, else the
/// SentencePiece model.
///
/// A null in the first file that has the key means that there is no such token.
/// @throws file_error for a file that is malformed or names a token without an id
[[nodiscard]] special_tokens read_special_tokens(const std::filesystem::path& folder,
                                                 const sentencepiece::SentencePieceProcessor& model);

}  // namespace kvtransfer::detail
