#include "model/tokenizers/segmented_text.hpp"

#include <algorithm>

#include "model/tokenizers/utf8.hpp"

namespace kvtransfer::detail {

bool segmented_text::is_markup(const text_range& range) const {
  return std::ranges::any_of(
      markup, [&](const text_range& each) { return each.begin <= range.begin && range.end <= each.end; });
}

bool segmented_text::has_markup(const text_range& range) const {
  return std::ranges::any_of(markup,
                             [&](const text_range& each) { return each.begin < range.end && range.begin < each.end; });
}

segmented_text plain_text(std::string_view text) { return {valid_utf8(text), {}}; }

segmented_text markup_text(std::string_view text) {
  segmented_text made{valid_utf8(text), {}};
  made.markup.push_back({0, made.text.size()});
  return made;
}

segmented_text joined_segments(std::span<const text_segment> segments, text_begin begin) {
  segmented_text made;
  made.continues = begin == text_begin::continued;
  for (const text_segment& each : segments) {
    const std::size_t start = made.text.size();
    made.text += valid_utf8(each.text);
    if (each.is_markup && made.text.size() > start) {
      made.markup.push_back({start, made.text.size()});
    }
  }
  return made;
}

}  // namespace kvtransfer::detail
