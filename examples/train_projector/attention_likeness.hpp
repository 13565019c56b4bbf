#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/stack.h>

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "held_out.hpp"
#include "kvtransfer/experiment/statistics/mean_estimate.hpp"
#include "kvtransfer/model/attention_cosine.hpp"
#include "kvtransfer/model/generate.hpp"
#include "rows.hpp"
#include "text_pair.hpp"

namespace kvtransfer::train_projector {

/// How alike attention is behind a cache and behind the receiver's own cache of the source's text.
struct attention_likeness {
  std::string condition;                 ///< `projected`, or `own`: what the receiver has before anything is projected
  statistics::mean_estimate of_prompts;  ///< of each question's mean cosine over layers, heads and tokens
  std::vector<double> by_layer;          ///< mean cosine over questions, heads and tokens
};

/// Of the questions of `set`, without any harness; see `attention_cosine`.
template <Projector P>
std::vector<attention_likeness> attention_likenesses(const model_pair& models, const P& projector,
                                                     const text_pair& texts, const held_out_set& set) {
  const at::NoGradGuard no_gradients;
  std::vector<at::Tensor> projected;
  std::vector<at::Tensor> own;
  for (const example& each : set.examples) {
    const training_row row = texts.row_of(each);
    const token_row question(row.target.begin(), row.target.end() - row.response);
    const cache right = prefill(models.receiver, {row.text});
    const cache before = prefill(models.receiver, {row.receiver});
    const cache after = fused_cache(models, projector, {row});
    projected.push_back(attention_cosine(models.receiver, right.view(), after.view(), question).mean(1).cpu());
    own.push_back(attention_cosine(models.receiver, right.view(), before.view(), question).mean(1).cpu());
  }
  std::vector<attention_likeness> likenesses;
  for (const auto& [condition, cosines] : {std::pair{"projected", &projected}, std::pair{"own", &own}}) {
    attention_likeness& likeness = likenesses.emplace_back(attention_likeness{condition, {}, {}});
    std::vector<double> by_prompt;
    for (const at::Tensor& each : *cosines) {
      by_prompt.push_back(each.mean().item<double>());
    }
    const at::Tensor by_layer = at::stack(*cosines).mean(0);
    for (std::int64_t layer = 0; layer < by_layer.size(0); ++layer) {
      likeness.by_layer.push_back(by_layer[layer].item<double>());
    }
    likeness.of_prompts = statistics::estimate_mean(by_prompt);
  }
  return likenesses;
}

/// As `training.json` has them, with intervals of confidence 0.95.
inline nlohmann::ordered_json json_of(const std::vector<attention_likeness>& likenesses) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const attention_likeness& each : likenesses) {
    const statistics::interval range = statistics::interval_of(each.of_prompts);
    all.push_back({{"condition", each.condition},
                   {"mean", each.of_prompts.mean},
                   {"low", range.low},
                   {"high", range.high},
                   {"by_layer", each.by_layer}});
  }
  return all;
}

}  // namespace kvtransfer::train_projector
