#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "model/tokenizers/text_pattern.hpp"

namespace kvtransfer::detail {

// The steps from tokens' texts back to a text. Source: the decoders of tokenizers 0.23.

/// Puts `content` for each match, token by token.
struct replace_step {
  text_pattern pattern;
  std::string content;
};
/// Runs of tokens "<0xE2>" become the characters that their bytes are; a run that is not UTF-8, U+FFFD for each byte.
struct byte_fallback_step {};
/// All tokens become one.
struct fuse_step {};
/// Cuts up to `start` and `stop` times a character from a token's ends.
struct strip_step {
  char32_t content;
  std::size_t start;
  std::size_t stop;
};
/// A space for each `replacement`; the first token's are dropped if encoding put one in front.
struct metaspace_step {
  char32_t replacement;
  bool drops_first;
};
/// All tokens become one: the bytes that their characters stand for, made valid UTF-8.
struct byte_level_step {};
/// What stands for no decoder at all: tokens with spaces between.
struct spaced_step {};

using decode_step =
    std::variant<replace_step, byte_fallback_step, fuse_step, strip_step, metaspace_step, byte_level_step, spaced_step>;

/// Takes the texts of tokens one by one. Each link of a chain hands on what no later token can change.
struct token_sink {
  virtual ~token_sink() = default;
  virtual void take(std::string_view token) = 0;
  virtual void finish() = 0;
};

/// @param steps must outlive the chain
/// @param text takes what the last step gives
std::unique_ptr<token_sink> decoding_chain(const std::vector<decode_step>& steps, std::string& text);

/// The byte that a token "<0xE2>" stands for; -1 for any other.
int byte_of_token(std::string_view token);

}  // namespace kvtransfer::detail
