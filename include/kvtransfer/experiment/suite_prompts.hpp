#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/experiment/prompt_ids.hpp"

namespace kvtransfer {

class any_tokenizer;
struct causal_lm;

/// What a condition may look at beyond its own test: the prompts of all tests of a run, in order, the model, and
/// its tokenizer.
struct suite_prompts {
  const causal_lm* model = nullptr;       ///< outlives the run
  std::vector<prompt_ids> tests;          ///< as that condition reads them
  const any_tokenizer* tokens = nullptr;  ///< outlives the run
};

/// For each test the index of another one, whose source stands in for its own: never one of the same tokens, and each
/// source in the place of one other. Sources of equal length change places among each other; what is left goes to the
/// nearest length.
/// @return nothing for every test where all have the same source
[[nodiscard]] std::vector<std::optional<std::size_t>> other_sources(const std::vector<prompt_ids>& tests);

}  // namespace kvtransfer
