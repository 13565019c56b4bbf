#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/silu.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/model/concepts.hpp"
#include "kvtransfer/model/config.hpp"
#include "kvtransfer/model/rotary_tables.hpp"
#include "kvtransfer/model/weights.hpp"
#include "kvtransfer/rope/angles.hpp"

namespace kvtransfer {

namespace transformer {

/// `x / rms(x) * weight`, the mean square taken in fp32. Source: transformers, LlamaRMSNorm.
inline at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::ScalarType compute = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor wide = x.to(compute);
  const at::Tensor normed = wide * at::rsqrt(wide.square().mean(-1, true) + eps);
  return weight * normed.to(x.scalar_type());
}

inline at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return at::linear(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
}

/// `[batch, seq, heads * head_dim]` as `[batch, heads, seq, head_dim]`.
inline at::Tensor split_heads(const at::Tensor& x, std::int64_t head_dim) {
  return x.unflatten(-1, {-1, head_dim}).transpose(1, 2);
}

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

/// The gated MLP on normed input `[batch, seq, hidden_size]`.
inline at::Tensor mlp(const at::Tensor& x, const layer_weights& layer) {
  const at::Tensor gate = at::silu(linear(x, layer.gate_proj, layer.gate_bias));
  return linear(gate * linear(x, layer.up_proj, layer.up_bias), layer.down_proj, layer.down_bias);
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
inline at::Tensor vocabulary_logits(const model_weights& weights, const at::Tensor& hidden) {
  return at::linear(hidden, weights.lm_head.defined() ? weights.lm_head : weights.embed_tokens);
}

/// Logits `[batch, seq, vocab_size]` of whole texts from position 0 on, without a cache; differentiable.
/// @param token_ids `[batch, seq]`, int64, on the weights' device
inline at::Tensor causal_logits(const model_config& config, const model_weights& weights, const at::Tensor& token_ids) {
  const std::int64_t seq = token_ids.size(1);
  const std::vector<rotary_specification> rotary = rotary_specifications(config, seq);
  const at::Tensor positions = at::arange(seq, token_ids.options()).view({1, 1, 1, seq});
  const rotary_tables tables(rotary, positions, weights.embed_tokens.scalar_type());
  const auto attend = [](std::int64_t, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    return at::scaled_dot_product_attention(q, k, v, {}, 0.0, true, std::nullopt, true);
  };
  return vocabulary_logits(weights, hidden_states(config, weights, token_ids, rotary, tables, attend));
}

}  // namespace kvtransfer
