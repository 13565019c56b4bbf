#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/embedding.h>

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

/// `x / rms(x) * weight`, the mean square taken in fp32. Source: transformers, LlamaRMSNorm.
[[nodiscard]] at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// `x · weightᵀ`, plus the bias where the model has one.
[[nodiscard]] at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

/// `[batch, seq, heads * head_dim]` as `[batch, heads, seq, head_dim]`.
[[nodiscard]] at::Tensor split_heads(const at::Tensor& x, std::int64_t head_dim);

/// The gated MLP on normed input `[batch, seq, hidden_size]`.
[[nodiscard]] at::Tensor mlp(const at::Tensor& x, const layer_weights& layer);

/// The attention block of one layer on normed input `[batch, seq, hidden_size]`.
template <Attention Attend>
at::Tensor self_attention(std::int64_t index, const at::Tensor& x, const layer_weights& layer, std::int64_t head_dim,
                          const rotary_specification& rotary, const rope::cos_sin& table, Attend& attend) {
  const at::Tensor q = split_heads(linear(x, layer.q_proj, layer.q_bias), head_dim);
  const at::Tensor k = split_heads(linear(x, layer.k_proj, layer.k_bias), head_dim);
  const at::Tensor v = split_heads(linear(x, layer.v_proj, layer.v_bias), head_dim);
  const at::Tensor context = attend(index, rope::apply_rotary(q, table.cos, table.sin, rotary),
                                    rope::apply_rotary(k, table.cos, table.sin, rotary), v);
  return linear(context.transpose(1, 2).flatten(2), layer.o_proj, layer.o_bias);
}

}  // namespace transformer

/// The Llama decoder without its head: a pure function of weights, tokens and positions, for training and inference
/// alike.
/// @param token_ids `[batch, seq]`, int64
/// @param rotary per layer, what `tables` were made from
/// @param attend called once per layer, in order
/// @return normed hidden states `[batch, seq, hidden_size]`
/// Source: transformers, LlamaModel.
template <Attention Attend>
at::Tensor hidden_states(const model_config& config, const model_weights& weights, const at::Tensor& token_ids,
                         const std::vector<rotary_specification>& rotary, const rotary_tables& tables,
                         Attend&& attend) {
  at::Tensor hidden = at::embedding(weights.embed_tokens, token_ids);
  for (std::int64_t i = 0; i < config.layers; ++i) {
    const layer_weights& layer = weights.layers[static_cast<std::size_t>(i)];
    const at::Tensor attended =
        transformer::self_attention(i, transformer::rms_norm(hidden, layer.input_layernorm, config.rms_norm_eps), layer,
                                    config.head_dim, rotary[static_cast<std::size_t>(i)], tables.layer(i), attend);
    hidden = hidden + attended;
    hidden = hidden + transformer::mlp(
                          transformer::rms_norm(hidden, layer.post_attention_layernorm, config.rms_norm_eps), layer);
  }
  return transformer::rms_norm(hidden, weights.norm, config.rms_norm_eps);
}

/// Scores over the vocabulary `[…, vocab_size]` of hidden states `[…, hidden_size]`; a tied head is the embedding.
[[nodiscard]] at::Tensor vocabulary_logits(const model_weights& weights, const at::Tensor& hidden);

}  // namespace kvtransfer::detail
