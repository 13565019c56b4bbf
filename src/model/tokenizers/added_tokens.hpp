#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "model/tokenizers/text_pattern.hpp"

namespace kvtransfer::detail {

/// A token that is looked for in the text itself, before the model sees it.
struct added_token {
  std::string content;
  std::int32_t id = 0;
  bool special = false;      ///< part of a format; decodes to nothing, and a plain text never becomes it
  bool normalized = false;   ///< looked for after normalizing, in its normalized form
  bool lstrip = false;       ///< takes the white space in front with it
  bool rstrip = false;       ///< and that behind it
  bool single_word = false;  ///< only where no word goes on at either end
};

/// A part of a text: a token, or text that is still to be encoded.
struct token_or_text {
  text_range range;
  std::optional<std::int32_t> id;
};

/// Finds added tokens in a text: the leftmost first, of those the longest.
/// Source: `AddedVocabulary::find_matches` of tokenizers 0.23.
class added_token_finder {
 public:
  /// @param written as what the token stands in a text: its content, or that normalized
  /// @return false, and nothing is changed, if it is empty or taken
  bool insert(const std::string& written, const added_token& token);

  /// @param markup in order; passes over special tokens that lie wholly in none of them
  [[nodiscard]] std::vector<token_or_text> split(std::string_view text, std::span<const text_range> markup) const;
  /// @param plain passes over special tokens
  [[nodiscard]] std::vector<token_or_text> split(std::string_view text, bool plain) const;

 private:
  struct node {
    std::map<char, std::size_t> next;
    std::optional<std::size_t> token;  ///< in `tokens_`, where one ends
  };

  /// The longest token that begins at `begin`: its end, and which.
  [[nodiscard]] std::optional<std::pair<std::size_t, std::size_t>> longest_at(std::string_view text,
                                                                              std::size_t begin) const;

  std::vector<node> nodes_{1};  ///< a tree of bytes; the first is its root
  std::vector<added_token> tokens_;
};

}  // namespace kvtransfer::detail
