#include "model/tokenizers/normalizers.hpp"

#include <cstddef>
#include <utility>

#include "model/tokenizers/byte_alphabet.hpp"
#include "model/tokenizers/utf8.hpp"

namespace kvtransfer::detail {

namespace {

/// Bytes of white space that a text begins with.
std::size_t leading_white_space(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && is_white_space(character_at(text, at).code_point)) {
    at += character_at(text, at).bytes;
  }
  return at;
}

/// Where the white space begins that a text ends with.
std::size_t trailing_white_space(std::string_view text) {
  std::size_t end = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto [code_point, bytes] = character_at(text, at);
    at += bytes;
    end = is_white_space(code_point) ? end : at;
  }
  return end;
}

}  // namespace

std::string replaced(std::string_view text, const text_pattern& pattern, std::string_view content) {
  std::string result;
  std::size_t done = 0;
  for (const text_range& match : pattern.find_all(text)) {
    result.append(text, done, match.begin - done);
    result += content;
    done = match.end;
  }
  result.append(text, done);
  return result;
}

normalizer to_normal_form(normal_form form) {
  return [form](text_piece& piece) { piece.text = normalized(piece.text, form); };
}

normalizer to_lower_case() {
  return [](text_piece& piece) { piece.text = lower_case(piece.text); };
}

normalizer prepend(std::string text) {
  return [text = std::move(text)](text_piece& piece) {
    if (!piece.text.empty() && !piece.continues) {
      piece.text.insert(0, text);
    }
  };
}

normalizer replace_each(text_pattern pattern, std::string content) {
  return [pattern = std::move(pattern), content = std::move(content)](text_piece& piece) {
    piece.text = replaced(piece.text, pattern, content);
  };
}

normalizer strip_white_space(bool left, bool right) {
  return [left, right](text_piece& piece) {
    if (right) {
      piece.text.resize(trailing_white_space(piece.text));
    }
    if (left && !piece.continues) {
      const std::size_t bytes = leading_white_space(piece.text);
      piece.text.erase(0, bytes);
      piece.at_start = piece.at_start && bytes == 0;
    }
  };
}

normalizer to_byte_alphabet() {
  return [](text_piece& piece) { piece.text = in_byte_alphabet(piece.text); };
}

}  // namespace kvtransfer::detail
