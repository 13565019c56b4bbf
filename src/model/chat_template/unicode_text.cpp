#include "unicode_text.hpp"

#include <algorithm>
#include <array>

namespace kvtransfer::detail {
namespace {

/// What Python counts as white space, in UTF-8. Source: str.isspace of CPython 3.11, Unicode 14.
constexpr std::array<std::string_view, 29> white_space{
    "\t",           "\n",           "\v",           "\f",           "\r",
    "\x1c",         "\x1d",         "\x1e",         "\x1f",         " ",
    "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\x80", "\xe2\x80\x81",
    "\xe2\x80\x82", "\xe2\x80\x83", "\xe2\x80\x84", "\xe2\x80\x85", "\xe2\x80\x86",
    "\xe2\x80\x87", "\xe2\x80\x88", "\xe2\x80\x89", "\xe2\x80\x8a", "\xe2\x80\xa8",
    "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80"};

}  // namespace

std::string_view strip_left(std::string_view text) {
  const auto begins = [&](std::string_view space) { return text.starts_with(space); };
  for (auto found = std::ranges::find_if(white_space, begins); found != white_space.end();
       found = std::ranges::find_if(white_space, begins)) {
    text.remove_prefix(found->size());
  }
  return text;
}

std::string_view strip_right(std::string_view text) {
  const auto ends = [&](std::string_view space) { return text.ends_with(space); };
  for (auto found = std::ranges::find_if(white_space, ends); found != white_space.end();
       found = std::ranges::find_if(white_space, ends)) {
    text.remove_suffix(found->size());
  }
  return text;
}

std::string_view strip(std::string_view text) { return strip_left(strip_right(text)); }

std::vector<std::size_t> code_point_offsets(std::string_view text) {
  std::vector<std::size_t> offsets;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U) {
      offsets.push_back(i);
    }
  }
  offsets.push_back(text.size());
  return offsets;
}

}  // namespace kvtransfer::detail
