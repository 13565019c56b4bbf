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

/// Fresh queries, keys and values `[batch, heads, seq, head_dim]`, not rotated.
struct projections {
  at::Tensor q, k, v;
};

/// The projections of normed input `[batch, seq, hidden_size]`, with norms over heads where the model has them.
[[nodiscard]] projections project(const model_config& config, const layer_weights& layer, const at::Tensor& x);

/// The gated MLP on normed input `[batch, seq, hidden_size]`.
[[nodiscard]] at::Tensor mlp(const model_config& config, const layer_weights& layer, const at::Tensor& x);

/// The attention block of one layer on normed input `[batch, seq, hidden_size]`.
template <Attention Attend>
at::Tensor self_attention(const model_config& config, std::int64_t index, const layer_weights& layer,
                          const at::Tensor& x, const rotary_specification& rotary, const rope::cos_sin& table,
                          Attend& attend) {
  const projections fresh = project(config, layer, x);
  const at::Tensor context = attend(index, rope::apply_rotary(fresh.q, table.cos, table.sin, rotary),
                                    rope::apply_rotary(fresh.k, table.cos, table.sin, rotary), fresh.v);
  return linear(context.transpose(1, 2).flatten(2), layer.o_proj, layer.o_bias);
}

}  // namespace transformer

/// The decoder without its head: a pure function of weights, tokens and positions, for training and inference alike.
/// Which blocks it is made of, the configuration says.
/// @param token_ids `[batch, seq]`, int64
/// @param rotary per layer, what `tables` were made from
/// @param tables whose `layer(index)` is that layer's `rope::cos_sin` of the tokens
/// @param attend called once per layer, in order
/// @return normed hidden states `[batch, seq, hidden_size]`
/// Source: transformers, the models of the architectures in model/architectures/.
template <class Tables, Attention Attend>
at::Tensor hidden_states(const model_config& config, const model_weights& weights, const at::Tensor& token_ids,
                         const std::vector<rotary_specification>& rotary, const Tables& tables, Attend&& attend) {
  const auto norm = [&](const at::Tensor& x, const at::Tensor& weight) {
    return transformer::rms_norm(x, weight, config.rms_norm_eps, config.norms_add_one);
  };
  at::Tensor hidden = transformer::embed(config, weights, token_ids);
  for (std::int64_t i = 0; i < config.layers; ++i) {
    const layer_weights& layer = weights.layers[static_cast<std::size_t>(i)];
    const at::Tensor attended =
        transformer::self_attention(config, i, layer, norm(hidden, layer.input_layernorm),
                                    rotary[static_cast<std::size_t>(i)], tables.layer(i), attend);
    if (config.norms_outputs) {
      hidden = hidden + norm(attended, layer.post_attention_layernorm);
      const at::Tensor widened = transformer::mlp(config, layer, norm(hidden, layer.pre_feedforward_layernorm));
      hidden = hidden + norm(widened, layer.post_feedforward_layernorm);
    } else {
      hidden = hidden + attended;
      hidden = hidden + transformer::mlp(config, layer, norm(hidden, layer.post_attention_layernorm));
    }
  }
  return norm(hidden, weights.norm);
}

/// Scores over the vocabulary `[…, vocab_size]` of hidden states `[…, hidden_size]`, capped where the model caps them;
/// a tied head is the embedding.
[[nodiscard]] at::Tensor vocabulary_logits(const model_config& config, const model_weights& weights,
                                           const at::Tensor& hidden);

}  // namespace kvtransfer::detail
