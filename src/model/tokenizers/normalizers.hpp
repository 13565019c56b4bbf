#pragma once

#include <functional>
#include <string>

#include "model/tokenizers/characters.hpp"
#include "model/tokenizers/text_pattern.hpp"

namespace kvtransfer::detail {

/// A piece of the text being encoded, never a token of its own.
struct text_piece {
  std::string text;
  bool at_start;           ///< begins where the caller's text began
  bool continues = false;  ///< begins where another text ended: nothing is put in front, nothing stripped
};

/// Rewrites a piece before it is split. Source: the normalizers of tokenizers 0.23.
using normalizer = std::function<void(text_piece&)>;

normalizer to_normal_form(normal_form form);
normalizer to_lower_case();
/// Puts a text in front; an empty piece stays empty, and one that continues a text as it is.
normalizer prepend(std::string text);
/// Puts `content` for each match.
normalizer replace_each(text_pattern pattern, std::string content);
normalizer strip_white_space(bool left, bool right);
/// Writes each byte as its printable character.
normalizer to_byte_alphabet();

/// `text` with `content` for each match of `pattern`.
std::string replaced(std::string_view text, const text_pattern& pattern, std::string_view content);

}  // namespace kvtransfer::detail
