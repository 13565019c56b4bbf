#include "model/tokenizers/byte_alphabet.hpp"

#include <array>

#include "model/tokenizers/utf8.hpp"

namespace kvtransfer::detail {

namespace {

struct alphabet {
  std::array<std::string, 256> characters;  ///< of each byte
  std::array<std::int16_t, 0x144> bytes{};  ///< of each code point; -1: none

  alphabet() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (char32_t byte = 0; byte < 256; ++byte) {
      const bool printable = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      const char32_t code_point = printable ? byte : next++;
      append_utf8(characters[byte], code_point);
      bytes.at(code_point) = static_cast<std::int16_t>(byte);
    }
  }
};

const alphabet& the_alphabet() {
  static const alphabet made;
  return made;
}

}  // namespace

std::string in_byte_alphabet(std::string_view bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char byte : bytes) {
    text += the_alphabet().characters[static_cast<std::uint8_t>(byte)];
  }
  return text;
}

std::optional<std::string> from_byte_alphabet(std::string_view text) {
  const auto& known = the_alphabet().bytes;
  std::string bytes;
  bytes.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto [code_point, length] = character_at(text, at);
    if (code_point >= known.size() || known[code_point] < 0) {
      return std::nullopt;
    }
    bytes += static_cast<char>(known[code_point]);
    at += length;
  }
  return bytes;
}

}  // namespace kvtransfer::detail
