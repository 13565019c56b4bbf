#include "model/tokenizers/pre_tokenizers.hpp"

#include <utility>

#include "model/tokenizers/byte_alphabet.hpp"
#include "model/tokenizers/characters.hpp"
#include "model/tokenizers/utf8.hpp"

namespace kvtransfer::detail {

const std::string gpt2_expression = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

/// Puts in place of each piece the parts that `ranges_of` names; it may change the piece first.
template <class RangesOf>
void split_each(std::vector<text_piece>& pieces, RangesOf ranges_of) {
  std::vector<text_piece> result;
  result.reserve(pieces.size());
  for (text_piece& piece : pieces) {
    for (const text_range& range : ranges_of(piece)) {
      if (range.end > range.begin) {
        const bool first = range.begin == 0;
        result.push_back({piece.text.substr(range.begin, range.end - range.begin), piece.at_start && first,
                          piece.continues && first});
      }
    }
  }
  pieces = std::move(result);
}

void inverted(std::vector<text_part>& parts) {
  for (text_part& part : parts) {
    part.matched = !part.matched;
  }
}

}  // namespace

pre_tokenizer split_at(text_pattern pattern, split_behavior behavior, bool invert) {
  return [pattern = std::move(pattern), behavior, invert](std::vector<text_piece>& pieces) {
    split_each(pieces, [&](const text_piece& piece) {
      std::vector<text_part> parts = parts_by_pattern(piece.text, pattern);
      if (invert) {
        inverted(parts);
      }
      return split(parts, behavior);
    });
  };
}

pre_tokenizer split_at_characters(bool (*wanted)(char32_t), split_behavior behavior) {
  return [wanted, behavior](std::vector<text_piece>& pieces) {
    split_each(pieces,
               [&](const text_piece& piece) { return split(parts_by_character(piece.text, wanted), behavior); });
  };
}

pre_tokenizer split_at_delimiter(std::string delimiter) {
  return split_at(text_pattern::literal(std::move(delimiter)), split_behavior::removed);
}

pre_tokenizer split_words() {
  const auto kind_of = [](char32_t c) { return is_word(c) ? 0 : is_white_space(c) ? 1 : 2; };
  return [kind_of](std::vector<text_piece>& pieces) {
    split_each(pieces, [&](const text_piece& piece) {
      std::vector<text_range> ranges;
      int last_kind = 1;
      for (std::size_t at = 0; at < piece.text.size();) {
        const auto [code_point, bytes] = character_at(piece.text, at);
        const int kind = kind_of(code_point);
        if (kind != 1 && kind == last_kind) {
          ranges.back().end += bytes;
        } else if (kind != 1) {
          ranges.push_back({at, at + bytes});
        }
        last_kind = kind;
        at += bytes;
      }
      return ranges;
    });
  };
}

pre_tokenizer split_by_length(std::size_t length) {
  return [length](std::vector<text_piece>& pieces) {
    split_each(pieces, [&](const text_piece& piece) {
      std::vector<text_range> ranges;
      std::size_t count = 0;
      for (std::size_t at = 0; at < piece.text.size(); ++count) {
        const std::size_t bytes = character_at(piece.text, at).bytes;
        if (count % length == 0) {
          ranges.push_back({at, at});
        }
        at += bytes;
        ranges.back().end = at;
      }
      return ranges;
    });
  };
}

pre_tokenizer byte_level(bool add_prefix_space, bool use_regex) {
  static const text_pattern gpt2 = text_pattern::regex(gpt2_expression, "byte_level");
  return [add_prefix_space, use_regex](std::vector<text_piece>& pieces) {
    split_each(pieces, [&](text_piece& piece) {
      if (add_prefix_space && !piece.continues && !piece.text.starts_with(' ')) {
        piece.text.insert(0, 1, ' ');
      }
      return use_regex ? split(parts_by_pattern(piece.text, gpt2), split_behavior::isolated)
                       : std::vector<text_range>{{0, piece.text.size()}};
    });
    for (text_piece& piece : pieces) {
      piece.text = in_byte_alphabet(piece.text);
    }
  };
}

pre_tokenizer metaspace(std::string replacement, prepend_scheme scheme, bool splits) {
  const text_pattern space = text_pattern::literal(" ");
  const text_pattern mark = text_pattern::literal(replacement);
  return [=](std::vector<text_piece>& pieces) {
    split_each(pieces, [&](text_piece& piece) {
      piece.text = replaced(piece.text, space, replacement);
      const bool wanted = scheme == prepend_scheme::always || (scheme == prepend_scheme::first && piece.at_start);
      if (wanted && !piece.continues && !piece.text.starts_with(replacement)) {
        piece.text.insert(0, replacement);
      }
      return splits ? split(parts_by_pattern(piece.text, mark), split_behavior::merged_with_next)
                    : std::vector<text_range>{{0, piece.text.size()}};
    });
  };
}

}  // namespace kvtransfer::detail
