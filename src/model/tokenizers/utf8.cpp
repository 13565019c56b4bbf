#include "model/tokenizers/utf8.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>

namespace kvtransfer::detail {

namespace {

constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

/// The longest beginning of `bytes` that is a character or the beginning of one.
struct sequence {
  std::size_t bytes;  ///< at least 1
  bool whole;         ///< a valid character
  bool open;          ///< `bytes` ended before the character did
};

/// Source: The Unicode Standard 14, table 3-7, and its "maximal subpart" of section 3.9.
sequence first_sequence(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) {
    return {1, true, false};
  }
  if (lead < 0xC2 || lead > 0xF4) {
    return {1, false, false};
  }
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // Shortest forms, surrogates and what lies above U+10FFFF are excluded by the second byte.
  const std::uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const std::uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (std::size_t i = 1; i < length; ++i) {
    if (i == bytes.size()) {
      return {i, false, true};
    }
    if (byte(i) < (i == 1 ? low : 0x80) || byte(i) > (i == 1 ? high : 0xBF)) {
      return {i, false, false};
    }
  }
  return {length, true, false};
}

}  // namespace

utf8_character character_at(std::string_view text, std::size_t offset) {
  utf8proc_int32_t code_point = 0;
  const auto* begin = reinterpret_cast<const utf8proc_uint8_t*>(text.data()) + offset;
  const auto left = static_cast<utf8proc_ssize_t>(std::min<std::size_t>(text.size() - offset, 4));
  const utf8proc_ssize_t bytes = utf8proc_iterate(begin, left, &code_point);
  return {static_cast<char32_t>(code_point), static_cast<std::size_t>(std::max<utf8proc_ssize_t>(bytes, 1))};
}

void append_utf8(std::string& text, char32_t code_point) {
  utf8proc_uint8_t bytes[4];
  const utf8proc_ssize_t count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count));
}

std::string utf8_repair::push(std::string_view bytes) {
  held_ += bytes;
  std::string text;
  std::size_t at = 0;
  while (at < held_.size()) {
    const sequence next = first_sequence(std::string_view(held_).substr(at));
    if (next.open) {
      break;
    }
    if (next.whole) {
      text.append(held_, at, next.bytes);
      at += next.bytes;
    } else {
      text += replacement_character;
      at += rule_ == replacement::per_byte ? 1 : next.bytes;
    }
  }
  held_.erase(0, at);
  return text;
}

std::string utf8_repair::finish() {
  std::string text;
  if (!held_.empty()) {
    const std::size_t count = rule_ == replacement::per_byte ? held_.size() : 1;
    for (std::size_t i = 0; i < count; ++i) {
      text += replacement_character;
    }
    held_.clear();
  }
  return text;
}

std::string valid_utf8(std::string_view bytes) {
  utf8_repair repair;
  std::string text = repair.push(bytes);
  return text + repair.finish();
}

}  // namespace kvtransfer::detail
