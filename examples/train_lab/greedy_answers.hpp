#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "kvtransfer/model/causal_logits.hpp"
#include "kvtransfer/model/config.hpp"
#include "kvtransfer/model/tokenizers/any_tokenizer.hpp"
#include "kvtransfer/model/weights.hpp"
#include "settings.hpp"

namespace kvtransfer::train_lab {

using token_row = std::vector<std::int64_t>;

/// Continues every row by its most likely tokens until EOS or `longest` new ones; @return the new tokens alone.
///
/// Rows of unequal length are filled up on the right, which a causal model can't see; the whole batch is computed again
/// for every token. That is slow and has nothing of a cache in it: an independent measure of what a cache must give.
inline std::vector<token_row> continue_rows(const model_config& config, const model_weights& weights,
                                            std::vector<token_row> rows, std::int64_t longest, at::Device device) {
  const c10::InferenceMode no_gradients;
  const auto count = static_cast<std::int64_t>(rows.size());
  std::size_t width = 0;
  for (const token_row& row : rows) {
    width = std::max(width, row.size());
  }
  at::Tensor ids = at::full({count, static_cast<std::int64_t>(width) + longest}, eos_id, at::kLong);
  std::vector<std::int64_t> lengths;
  for (std::int64_t row = 0; row < count; ++row) {
    const token_row& prompt = rows[static_cast<std::size_t>(row)];
    ids[row].narrow(0, 0, static_cast<std::int64_t>(prompt.size())).copy_(at::tensor(prompt, at::kLong));
    lengths.push_back(static_cast<std::int64_t>(prompt.size()));
  }
  std::vector<token_row> answers(rows.size());
  std::vector<bool> ended(rows.size(), false);
  for (std::int64_t turn = 0; turn < longest && std::count(ended.begin(), ended.end(), false) > 0; ++turn) {
    const at::Tensor seen = ids.narrow(1, 0, static_cast<std::int64_t>(width) + turn).to(device);
    const at::Tensor last = (at::tensor(lengths, at::kLong) + (turn - 1)).to(device).view({count, 1, 1});
    const at::Tensor logits = causal_logits(config, weights, seen);
    const at::Tensor best = logits.gather(1, last.expand({count, 1, logits.size(2)})).argmax(-1).view({count}).cpu();
    for (std::int64_t row = 0; row < count; ++row) {
      const auto at_row = static_cast<std::size_t>(row);
      const std::int64_t token = best[row].item<std::int64_t>();
      ended[at_row] = ended[at_row] || token == eos_id;
      ids[row][lengths[at_row] + turn] = token;
      if (!ended[at_row]) {
        answers[at_row].push_back(token);
      }
    }
  }
  return answers;
}

/// The texts that the model continues prompts with.
/// @param prompts each a list of texts that are encoded one by one and follow each other directly, after one BOS
inline std::vector<std::string> greedy_answers(const model_config& config, const model_weights& weights,
                                               const any_tokenizer& subwords,
                                               const std::vector<std::vector<std::string>>& prompts,
                                               at::Device device) {
  constexpr std::size_t rows_at_once = 64;
  constexpr std::int64_t longest = 40;
  std::vector<std::string> texts;
  for (std::size_t first = 0; first < prompts.size(); first += rows_at_once) {
    std::vector<token_row> rows;
    for (std::size_t index = first; index < std::min(first + rows_at_once, prompts.size()); ++index) {
      token_row& row = rows.emplace_back(token_row{bos_id});
      for (const std::string& text : prompts[index]) {
        const token_row ids = subwords.encode(text);
        row.insert(row.end(), ids.begin(), ids.end());
      }
    }
    for (const token_row& answer : continue_rows(config, weights, std::move(rows), longest, device)) {
      texts.push_back(subwords.decode(answer));
    }
  }
  return texts;
}

}  // namespace kvtransfer::train_lab
