#include "model/tokenizers/characters.hpp"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <memory>

#include "kvtransfer/core/error.hpp"
#include "model/tokenizers/unicode_tables.hpp"
#include "model/tokenizers/utf8.hpp"

namespace kvtransfer::detail {

namespace {

utf8proc_category_t category(char32_t code_point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
}

/// Symbols that are alphabetic all the same: letters in circles and squares.
bool is_enclosed_letter(char32_t c) {
  return (c >= 0x24B6 && c <= 0x24E9) || (c >= 0x1F130 && c <= 0x1F149) || (c >= 0x1F150 && c <= 0x1F169) ||
         (c >= 0x1F170 && c <= 0x1F189);
}

/// @param ranges sorted, without overlaps
template <std::size_t N>
bool lies_in(char32_t c, const code_point_range (&ranges)[N]) {
  const auto* behind =
      std::upper_bound(std::begin(ranges), std::end(ranges), c,
                       [](char32_t wanted, const code_point_range& one) { return wanted < one.first; });
  return behind != std::begin(ranges) && c <= std::prev(behind)->last;
}

/// All of `text` in a normal form of Unicode's newest version.
std::string normalized_newest(std::string_view text, normal_form form) {
  int options = UTF8PROC_STABLE;
  options |= form == normal_form::nfc || form == normal_form::nfkc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  options |= form == normal_form::nfkc || form == normal_form::nfkd ? UTF8PROC_COMPAT : 0;
  utf8proc_uint8_t* result = nullptr;
  const auto length =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                   &result, static_cast<utf8proc_option_t>(options));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(result, &std::free);
  if (length < 0) {
    fail<value_error>("normalized", "text", "UTF-8 that fits the memory", utf8proc_errmsg(length));
  }
  return {reinterpret_cast<const char*>(result), static_cast<std::size_t>(length)};
}

}  // namespace

bool is_white_space(char32_t c) {
  return (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_number(char32_t code_point) {
  const auto found = category(code_point);
  return found >= UTF8PROC_CATEGORY_ND && found <= UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(char32_t c) {
  const bool ascii_symbol =
      (c >= 0x21 && c <= 0x2F) || (c >= 0x3A && c <= 0x40) || (c >= 0x5B && c <= 0x60) || (c >= 0x7B && c <= 0x7E);
  const auto found = category(c);
  const bool in_unicode = found >= UTF8PROC_CATEGORY_PC && found <= UTF8PROC_CATEGORY_PO;
  return ascii_symbol || in_unicode != lies_in(c, other_punctuation);
}

bool is_word(char32_t c) {
  const auto found = category(c);
  const bool letter = found >= UTF8PROC_CATEGORY_LU && found <= UTF8PROC_CATEGORY_LO;
  const bool mark = found >= UTF8PROC_CATEGORY_MN && found <= UTF8PROC_CATEGORY_ME;
  return letter || mark || found == UTF8PROC_CATEGORY_ND || found == UTF8PROC_CATEGORY_NL ||
         found == UTF8PROC_CATEGORY_PC || c == 0x200C || c == 0x200D || is_enclosed_letter(c);
}

std::string normalized(std::string_view text, normal_form form) {
  // A character that is left as it is parts what stands around it: nothing is reordered or joined across it.
  std::string result;
  std::size_t done = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto [code_point, bytes] = character_at(text, at);
    if (lies_in(code_point, left_as_they_are)) {
      result += normalized_newest(text.substr(done, at - done), form);
      result += text.substr(at, bytes);
      done = at + bytes;
    }
    at += bytes;
  }
  return result + normalized_newest(text.substr(done), form);
}

std::string lower_case(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto [code_point, bytes] = character_at(text, at);
    if (code_point == 0x130) {  // İ: the one character whose lower case is two
      result += "i\xCC\x87";
    } else {
      append_utf8(result, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code_point))));
    }
    at += bytes;
  }
  return result;
}

}  // namespace kvtransfer::detail
