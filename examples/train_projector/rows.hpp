#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/full.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "kvtransfer/project/any_projector.hpp"
#include "kvtransfer/project/project.hpp"

namespace kvtransfer::train_projector {

using token_row = std::vector<std::int64_t>;

/// One example in tokens.
struct training_row {
  token_row source;           ///< what the source reads
  token_row receiver;         ///< what the receiver reads in its place: as many tokens
  token_row target;           ///< what the receiver reads behind it: question and response, the question not empty
  std::int64_t response = 0;  ///< how many of the target's last tokens are the response
};

/// Both models, frozen.
struct model_pair {
  causal_lm source;
  causal_lm receiver;
};

/// One list of each row: `column(rows, &training_row::target)`.
inline std::vector<token_row> column(const std::vector<training_row>& rows, token_row training_row::* member) {
  std::vector<token_row> lists;
  for (const training_row& row : rows) {
    lists.push_back(row.*member);
  }
  return lists;
}

/// The receiver's cache of its texts with what the projector makes of the source's, row by row.
template <Projector P>
cache fused_cache(const model_pair& models, const P& projector, const std::vector<training_row>& rows) {
  const cache source = prefill(models.source, column(rows, &training_row::source));
  const cache receiver = prefill(models.receiver, column(rows, &training_row::receiver));
  return project(projector, source.view(), receiver.view());
}

/// The sum over response tokens of −ln p, nats.
/// @param logits `[rows, longest target, vocab_size]`, aligned at the right as a plan has it
inline at::Tensor response_loss(const at::Tensor& logits, const std::vector<training_row>& rows) {
  constexpr std::int64_t ignored = -100;
  const std::int64_t longest = logits.size(1);
  at::Tensor wanted = at::full({logits.size(0), longest - 1}, ignored, at::kLong);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::int64_t* const out =
        wanted.mutable_data_ptr<std::int64_t>() + (static_cast<std::int64_t>(i) + 1) * (longest - 1);
    std::copy(rows[i].target.end() - rows[i].response, rows[i].target.end(), out - rows[i].response);
  }
  return at::cross_entropy_loss(logits.narrow(1, 0, longest - 1).flatten(0, 1).to(at::kFloat),
                                wanted.flatten().to(logits.device()), {}, at::Reduction::Sum, ignored);
}

/// Response tokens of all rows.
inline std::int64_t response_tokens(const std::vector<training_row>& rows) {
  std::int64_t count = 0;
  for (const training_row& row : rows) {
    count += row.response;
  }
  return count;
}

}  // namespace kvtransfer::train_projector
