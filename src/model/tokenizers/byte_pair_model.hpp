#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "model/tokenizers/token_table.hpp"

namespace kvtransfer::detail {

/// What merging two neighbours gives, and when it is their turn: the smallest rank first.
struct merge_rule {
  std::int32_t rank;
  std::int32_t result;
};

/// Byte pair encoding of one word. Source: the model "BPE" of tokenizers 0.23.
struct byte_pair_model {
  token_table vocabulary;
  std::unordered_map<std::uint64_t, merge_rule> merges;  ///< by `pair_key`
  std::optional<std::string> unk_token;      ///< stands for characters without a token; none: they are dropped
  bool fuse_unk = false;                     ///< one for a run of them
  bool byte_fallback = false;                ///< before that, tokens "<0xE2>" for their bytes
  bool ignore_merges = false;                ///< a word that is a token is that token
  std::unordered_set<std::int64_t> special;  ///< ids that a plain text never becomes, whatever the merges say

  static std::uint64_t pair_key(std::int32_t left, std::int32_t right) {
    return (static_cast<std::uint64_t>(static_cast<std::uint32_t>(left)) << 32) | static_cast<std::uint32_t>(right);
  }

  /// Adds a merge; a pair that comes again takes the later rank.
  /// @return false, and nothing is changed, unless both and what they join to are tokens
  bool add_merge(const std::string& left, const std::string& right, std::int32_t rank);

  /// Appends the ids of a word, in O(n log n).
  /// @param plain the text is somebody's: no special token may come of it, but for `unk_token`
  /// @throws value_error for a character that has no token where `unk_token` has none either
  void encode(std::string_view word, bool plain, std::vector<std::int64_t>& ids) const;

 private:
  std::vector<std::int64_t> encode_word(std::string_view word, bool without_special) const;
  std::vector<std::int32_t> first_tokens(std::string_view word, bool without_special) const;
  std::optional<std::vector<std::int32_t>> tokens_of_bytes(std::string_view character) const;
};

}  // namespace kvtransfer::detail
