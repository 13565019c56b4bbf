#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "model/tokenizers/normalizers.hpp"
#include "model/tokenizers/text_pattern.hpp"
#include "model/tokenizers/text_split.hpp"

namespace kvtransfer::detail {

/// Splits pieces into words, which the model then encodes one by one; none is empty.
/// Source: the pre-tokenizers of tokenizers 0.23.
using pre_tokenizer = std::function<void(std::vector<text_piece>&)>;

/// @param invert take what lies between the matches for the matches
pre_tokenizer split_at(text_pattern pattern, split_behavior behavior, bool invert = false);
/// Splits at each character that `wanted` says yes to.
pre_tokenizer split_at_characters(bool (*wanted)(char32_t), split_behavior behavior);
/// Splits at one character and drops it.
pre_tokenizer split_at_delimiter(std::string delimiter);
/// Words, and runs of what is neither word nor white space.
pre_tokenizer split_words();
/// Splits into runs of `length` characters.
pre_tokenizer split_by_length(std::size_t length);
/// Writes bytes as printable characters, after GPT-2's expression has split the text if `use_regex`.
pre_tokenizer byte_level(bool add_prefix_space, bool use_regex);

enum class prepend_scheme { always, first, never };
/// Writes a space as `replacement`, puts one in front where there is none, and splits in front of each.
pre_tokenizer metaspace(std::string replacement, prepend_scheme scheme, bool splits);

/// GPT-2's expression: contractions, letters, numbers, the rest, white space; a space goes with what follows.
extern const std::string gpt2_expression;

}  // namespace kvtransfer::detail
