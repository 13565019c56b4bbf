#pragma once

#include <string_view>
#include <vector>

#include "model/tokenizers/text_pattern.hpp"

namespace kvtransfer::detail {

/// A part of a text that a pattern matched, or one between matches.
struct text_part {
  text_range range;
  bool matched;
};

/// What becomes of the matches when a text is split at them. Source: `SplitDelimiterBehavior` of tokenizers.
enum class split_behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// The whole of a text as matches of `pattern` and what lies between.
std::vector<text_part> parts_by_pattern(std::string_view text, const text_pattern& pattern);
/// The same with each character matched that `wanted` says yes to.
std::vector<text_part> parts_by_character(std::string_view text, bool (*wanted)(char32_t));

/// The ranges that a text is split into; some may be empty.
std::vector<text_range> split(const std::vector<text_part>& parts, split_behavior behavior);

}  // namespace kvtransfer::detail
