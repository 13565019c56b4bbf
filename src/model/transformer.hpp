#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kvtransfer/model/config.hpp"
#include "kvtransfer/model/weights.hpp"
#include "kvtransfer/rope/angles.hpp"
#include "model/concepts.hpp"
#include "model/rotary_tables.hpp"

namespace kvtransfer::detail {

namespace transformer {

/// `x / rms(x) * weight`, the mean square taken in fp32.
/// @param adds_one multiplies by 1 + weight instead, in fp32
/// Source: transformers, LlamaRMSNorm and Gemma2RMSNorm, which round in another order.
[[nodiscard]] at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, bool adds_one = false);

/// `x · weightᵀ`, plus the bias where the model has one, in x's dtype. Of codes the values are brought back and dropped
/// again; where they name a dtype to compute in, the product is one in that.
[[nodiscard]] at::Tensor linear(const at::Tensor& x, const weight_matrix& weight, const at::Tensor& bias);

/// Embeddings of `token_ids`, `[batch, seq, hidden_size]`, scaled where the model does so.
[[nodiscard]] at::Tensor embed(const model_config& config, const model_weights& weights, const at::Tensor& token_ids);

/// The projections of normed input `[batch, seq, hidden_size]`, with norms over heads where the model has them.
[[nodiscard]] projections project(const model_config& config, const layer_weights& layer, const at::Tensor& x);

/// The gated MLP on normed input `[batch, seq, hidden_size]`.
[[nodiscard]] at::Tensor mlp(const model_config& config, const layer_weights& layer, const at::Tensor& x);

/// The sum in front of a norm, and the norm: `hidden` becomes hidden + more.
[[nodiscard]] at::Tensor add_rms_norm(at::Tensor& hidden, const at::Tensor& more, const at::Tensor& weight, double eps,
                                      bool adds_one);

}  // namespace transformer

/// The decoder without its head: a pure function of weights, tokens and positions, for training and inference alike.
/// Which blocks it is made of, the configuration says.
/// @param token_ids `[batch, seq]`, int64
/// @param attend called once per layer, in order, with what the layer's tokens are projected to, not rotated
/// @return normed hidden states `[batch, seq, hidden_size]`
/// Source: transformers, the models of the architectures in model/architectures/.
template <ProjectedAttention Attend>
at::Tensor decoder_states(const model_config& config, const model_weights& weights, const at::Tensor& token_ids,
                          Attend&& attend) {
  const auto norm = [&](const at::Tensor& x, const at::Tensor& weight) {
    return transformer::rms_norm(x, weight, config.rms_norm_eps, config.norms_add_one);
  };
  const auto add_norm = [&](at::Tensor& hidden, const at::Tensor& more, const at::Tensor& weight) {
    return transformer::add_rms_norm(hidden, more, weight, config.rms_norm_eps, config.norms_add_one);
  };
  at::Tensor hidden = transformer::embed(config, weights, token_ids);
  at::Tensor normed = norm(hidden, config.layers > 0 ? weights.layers.front().input_layernorm : weights.norm);
  for (std::int64_t i = 0; i < config.layers; ++i) {
    const layer_weights& layer = weights.layers[static_cast<std::size_t>(i)];
    const bool is_last = i + 1 == config.layers;
    const at::Tensor& next = is_last ? weights.norm : weights.layers[static_cast<std::size_t>(i) + 1].input_layernorm;
    const at::Tensor context = attend(i, transformer::project(config, layer, normed));
    const at::Tensor attended = transformer::linear(context.transpose(1, 2).flatten(2), layer.o_proj, layer.o_bias);
    if (config.norms_outputs) {
      normed = add_norm(hidden, norm(attended, layer.post_attention_layernorm), layer.pre_feedforward_layernorm);
      const at::Tensor widened = transformer::mlp(config, layer, normed);
      normed = add_norm(hidden, norm(widened, layer.post_feedforward_layernorm), next);
    } else {
      normed = add_norm(hidden, attended, layer.post_attention_layernorm);
      normed = add_norm(hidden, transformer::mlp(config, layer, normed), next);
    }
  }
  return normed;
}

/// The same, with queries and keys rotated before `attend` is called.
/// @param rotary per layer, what `tables` were made from
/// @param tables whose `layer(index)` is that layer's `rope::cos_sin` of the tokens
template <class Tables, Attention Attend>
at::Tensor hidden_states(const model_config& config, const model_weights& weights, const at::Tensor& token_ids,
                         const std::vector<rotary_specification>& rotary, const Tables& tables, Attend&& attend) {
  return decoder_states(config, weights, token_ids, [&](std::int64_t i, const transformer::projections& fresh) {
    const rotary_specification& how = rotary[static_cast<std::size_t>(i)];
    const rope::cos_sin& table = tables.layer(i);
    const auto rotated = [&](const at::Tensor& x) { return rope::apply_rotary(x, table.cos, table.sin, how); };
    return attend(i, rotated(fresh.q), rotated(fresh.k), fresh.v);
  });
}

/// Scores over the vocabulary `[…, vocab_size]` of hidden states `[…, hidden_size]`, capped where the model caps them;
/// a tied head is the embedding.
[[nodiscard]] at::Tensor vocabulary_logits(const model_config& config, const model_weights& weights,
                                           const at::Tensor& hidden);

}  // namespace kvtransfer::detail
