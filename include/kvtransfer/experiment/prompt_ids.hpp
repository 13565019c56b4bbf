#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/experiment/sequence.hpp"
#include "kvtransfer/experiment/suite.hpp"

namespace kvtransfer {

class tokenizer;

/// The prompts of one test as token ids, without BOS or EOS.
struct prompt_ids {
  std::optional<std::int64_t> bos;  ///< the model's, if it has one
  std::vector<std::int64_t> source;
  std::vector<std::int64_t> target;
};

/// Encodes a test's prompts, each by itself, so that a text in two pieces has the ids of its pieces.
/// @throws value_error if a prompt has no tokens
[[nodiscard]] prompt_ids encode_prompts(const tokenizer& text, const test_case& test);

/// Number of tokens.
[[nodiscard]] inline std::int64_t count_of(const std::vector<std::int64_t>& ids) {
  return static_cast<std::int64_t>(ids.size());
}

/// Tokens of BOS: one, or none for a model without it.
[[nodiscard]] inline std::int64_t bos_count(const prompt_ids& prompts) { return prompts.bos ? 1 : 0; }

/// `ids` behind BOS, where the model has one.
[[nodiscard]] std::vector<std::int64_t> begun_text(const prompt_ids& prompts, const std::vector<std::int64_t>& ids);

/// The parts of such a text: BOS where the model has one, then `count` tokens of `role`.
/// @param injected whether they are cached keys and values, not fed as tokens
[[nodiscard]] sequence begun_parts(const prompt_ids& prompts, token_role role, std::int64_t count, bool injected);

}  // namespace kvtransfer
