#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/experiment/sequence.hpp"

namespace kvtransfer {

/// Tokens of one role.
struct prompt_part {
  token_role role = token_role::target;  ///< whose they are
  std::vector<std::int64_t> token_ids;   ///< never empty

  friend bool operator==(const prompt_part&, const prompt_part&) = default;
};

/// A prompt, or the part of one, left to right.
using prompt_text = std::vector<prompt_part>;

/// The prompts of one test as token ids, without EOS. BOS is there only where the model adds one.
struct prompt_ids {
  prompt_text
      opening;       ///< what stands in front of the target where no source is read: BOS, the chat format's beginning
  prompt_text head;  ///< the same with the source behind: what a transfer injects
  prompt_text tail;  ///< the target and the chat format's end
  std::string test = {};  ///< the test's name; empty where the prompts are of none

  /// The target alone.
  [[nodiscard]] prompt_text alone() const;
  /// Source and target in one.
  [[nodiscard]] prompt_text whole() const;

  friend bool operator==(const prompt_ids&, const prompt_ids&) = default;
};

/// Prompts without a chat format.
/// @param before what the model's rule puts in front of a text: BOS, or nothing
[[nodiscard]] prompt_ids raw_prompts(std::vector<std::int64_t> before, std::vector<std::int64_t> source,
                                     std::vector<std::int64_t> target);

/// Number of tokens.
[[nodiscard]] std::int64_t count_of(const prompt_text& text);

/// Its tokens in a row.
[[nodiscard]] std::vector<std::int64_t> ids_of(const prompt_text& text);

/// Its parts, for the record.
/// @param injected whether they are cached keys and values, not fed as tokens
[[nodiscard]] sequence parts_of(const prompt_text& text, bool injected);

/// Whether a text begins with BOS.
[[nodiscard]] bool begins_with_bos(const prompt_text& text);

/// A text without its BOS.
[[nodiscard]] prompt_text without_bos(const prompt_text& text);

/// All of a text but its last token, and that token.
/// @param text at least one token
[[nodiscard]] std::pair<prompt_text, prompt_part> without_last_token(prompt_text text);

}  // namespace kvtransfer
