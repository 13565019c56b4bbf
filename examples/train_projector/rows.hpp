#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/full.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "harness.hpp"
#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/project/any_projector.hpp"
#include "kvtransfer/project/paired_source.hpp"
#include "kvtransfer/project/project.hpp"
#include "training_row.hpp"

namespace kvtransfer::train_projector {

/// Both models, frozen, and the harness between them.
struct model_pair {
  causal_lm source;
  causal_lm receiver;
  harness between = {};
};

/// The source's cache of its texts, slot by slot as `receiver`, the receiver's of the same rows.
inline cache source_cache(const model_pair& models, const std::vector<training_row>& rows,
                          const cache_view<>& receiver) {
  cache read = prefill(models.source, column(rows, &training_row::source));
  if (rows.front().partners.empty()) {
    return read;
  }
  constexpr std::int64_t padding = -1;
  at::Tensor slots = at::full({receiver.batch(), receiver.size()}, padding, at::kLong);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::int64_t shift = read.length() - static_cast<std::int64_t>(rows[i].source.size());  // rows end together
    std::int64_t* const end =
        slots.mutable_data_ptr<std::int64_t>() + (static_cast<std::int64_t>(i) + 1) * receiver.size();
    std::ranges::transform(rows[i].partners, end - rows[i].partners.size(),
                           [&](std::int64_t slot) { return slot + shift; });
  }
  return paired_source(read.view(), slots, receiver.layer(0).frame().positions);
}

/// The receiver's cache of its texts with what the projector makes of the source's, row by row.
template <Projector P>
cache fused_cache(const model_pair& models, const P& projector, const std::vector<training_row>& rows) {
  const cache receiver = prefill(models.receiver, column(rows, &training_row::receiver));
  const cache source = source_cache(models, rows, receiver.view());
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

}  // namespace kvtransfer::train_projector
