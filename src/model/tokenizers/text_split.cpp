#include "model/tokenizers/text_split.hpp"

#include <algorithm>
#include <cstddef>

#include "model/tokenizers/utf8.hpp"

namespace kvtransfer::detail {

namespace {

/// Between the matches, what is not matched.
std::vector<text_part> with_gaps(std::string_view text, const std::vector<text_range>& matches) {
  std::vector<text_part> parts;
  std::size_t done = 0;
  for (const text_range& match : matches) {
    if (match.begin > done) {
      parts.push_back({{done, match.begin}, false});
    }
    parts.push_back({match, true});
    done = match.end;
  }
  if (done < text.size()) {
    parts.push_back({{done, text.size()}, false});
  }
  return parts;
}

/// Joins a part with the one before it where `joins` says so.
template <class Parts, class Joins>
std::vector<text_range> joined(const Parts& parts, Joins joins) {
  std::vector<text_range> ranges;
  bool previous = false;
  for (const text_part& part : parts) {
    if (!ranges.empty() && joins(part.matched, previous)) {
      ranges.back().begin = std::min(ranges.back().begin, part.range.begin);
      ranges.back().end = std::max(ranges.back().end, part.range.end);
    } else {
      ranges.push_back(part.range);
    }
    previous = part.matched;
  }
  return ranges;
}

}  // namespace

std::vector<text_part> parts_by_pattern(std::string_view text, const text_pattern& pattern) {
  return with_gaps(text, pattern.find_all(text));
}

std::vector<text_part> parts_by_character(std::string_view text, bool (*wanted)(char32_t)) {
  std::vector<text_range> matches;
  for (std::size_t at = 0; at < text.size();) {
    const auto [code_point, bytes] = character_at(text, at);
    if (wanted(code_point)) {
      matches.push_back({at, at + bytes});
    }
    at += bytes;
  }
  return with_gaps(text, matches);
}

std::vector<text_range> split(const std::vector<text_part>& parts, split_behavior behavior) {
  const auto lone_match = [](bool matched, bool previous) { return matched && !previous; };
  switch (behavior) {
    case split_behavior::contiguous:
      return joined(parts, [](bool matched, bool previous) { return matched == previous; });
    case split_behavior::merged_with_previous:
      return joined(parts, lone_match);
    case split_behavior::merged_with_next: {
      const std::vector<text_part> backwards(parts.rbegin(), parts.rend());
      std::vector<text_range> ranges = joined(backwards, lone_match);
      std::reverse(ranges.begin(), ranges.end());
      return ranges;
    }
    case split_behavior::isolated:
      return joined(parts, [](bool, bool) { return false; });
    case split_behavior::removed:
      break;
  }
  std::vector<text_range> ranges;
  for (const text_part& part : parts) {
    if (!part.matched) {
      ranges.push_back(part.range);
    }
  }
  return ranges;
}

}  // namespace kvtransfer::detail
