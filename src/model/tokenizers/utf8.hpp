#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kvtransfer::detail {

/// A code point of a text and the bytes that it takes.
struct utf8_character {
  char32_t code_point;
  std::size_t bytes;
};

/// The character at `offset` of valid UTF-8; offset < text.size().
utf8_character character_at(std::string_view text, std::size_t offset);

/// Appends a code point as UTF-8.
void append_utf8(std::string& text, char32_t code_point);

/// How many U+FFFD stand for bytes that are not UTF-8.
enum class replacement {
  per_sequence,  ///< one for each broken sequence, as far as it was right: Python's and Rust's rule
  per_byte,      ///< one for each byte: SentencePiece's rule
};

/// Makes a stream of bytes valid UTF-8; what is broken becomes U+FFFD. A character split between chunks comes whole.
class utf8_repair {
 public:
  explicit utf8_repair(replacement rule = replacement::per_sequence) : rule_(rule) {}

  /// @return the text that no later byte can change
  std::string push(std::string_view bytes);
  /// @return U+FFFD for what is left of an unfinished character
  std::string finish();

 private:
  replacement rule_;
  std::string held_;
};

/// A text with each broken sequence replaced by U+FFFD.
std::string valid_utf8(std::string_view bytes);

}  // namespace kvtransfer::detail
