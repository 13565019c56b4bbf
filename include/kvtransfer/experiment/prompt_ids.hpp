#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/suite.hpp"
#include "kvtransfer/model/tokenizer.hpp"

namespace kvtransfer {

/// The prompts of one test as token ids, without BOS or EOS.
struct prompt_ids {
  std::optional<std::int64_t> bos;  ///< the model's, if it has one
  std::vector<std::int64_t> source;
  std::vector<std::int64_t> target;
};

/// Encodes a test's prompts, each by itself, so that a text in two pieces has the ids of its pieces.
/// @throws value_error if a prompt has no tokens
inline prompt_ids encode_prompts(const tokenizer& text, const test_case& test) {
  prompt_ids prompts{text.bos(), text.encode(test.source), text.encode(test.target)};
  const auto require_some = [&](const std::vector<std::int64_t>& ids, const char* which) {
    require<value_error>(!ids.empty(), test.name, which, "at least one token", "none");
  };
  require_some(prompts.source, "source");
  require_some(prompts.target, "target");
  return prompts;
}

/// `ids` behind BOS, where the model has one.
inline std::vector<std::int64_t> begun_text(const prompt_ids& prompts, const std::vector<std::int64_t>& ids) {
  std::vector<std::int64_t> text;
  if (prompts.bos) {
    text.push_back(*prompts.bos);
  }
  text.insert(text.end(), ids.begin(), ids.end());
  return text;
}

}  // namespace kvtransfer
