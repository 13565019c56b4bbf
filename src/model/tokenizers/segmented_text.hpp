#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/model/tokenizers/concepts.hpp"
#include "model/tokenizers/text_pattern.hpp"

namespace kvtransfer::detail {

/// A text to be encoded as one, and where in it special tokens may be read.
struct segmented_text {
  std::string text;                ///< valid UTF-8
  std::vector<text_range> markup;  ///< in order, apart from each other
  bool continues = false;          ///< begins where another text ended

  [[nodiscard]] std::string_view part(const text_range& range) const {
    return std::string_view(text).substr(range.begin, range.end - range.begin);
  }
  /// Whether all of a range lies in one part of the markup.
  [[nodiscard]] bool is_markup(const text_range& range) const;
  /// Whether some of it does.
  [[nodiscard]] bool has_markup(const text_range& range) const;
};

segmented_text plain_text(std::string_view text);
segmented_text markup_text(std::string_view text);
segmented_text joined_segments(std::span<const text_segment> segments, text_begin begin);

}  // namespace kvtransfer::detail
