#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kvtransfer/model/config.hpp"

namespace kvtransfer {

/// One decoder layer's parameters; a bias that the model lacks is an undefined tensor. Matrices are [out, in].
struct layer_weights {
  at::Tensor input_layernorm;           // [hidden_size]
  at::Tensor q_proj;                    // [q_heads * head_dim, hidden_size]
  at::Tensor k_proj;                    // [kv_heads * head_dim, hidden_size]
  at::Tensor v_proj;                    // [kv_heads * head_dim, hidden_size]
  at::Tensor o_proj;                    // [hidden_size, q_heads * head_dim]
  at::Tensor post_attention_layernorm;  // [hidden_size]
  at::Tensor gate_proj;                 // [intermediate_size, hidden_size]
  at::Tensor up_proj;                   // [intermediate_size, hidden_size]
  at::Tensor down_proj;                 // [hidden_size, intermediate_size]
  at::Tensor q_bias, k_bias, v_bias, o_bias;
  at::Tensor gate_bias, up_bias, down_bias;
};

/// All parameters of a model. With tied embeddings `lm_head` is the very tensor `embed_tokens`.
struct model_weights {
  at::Tensor embed_tokens;  // [vocab_size, hidden_size]
  at::Tensor norm;          // [hidden_size]
  at::Tensor lm_head;       // [vocab_size, hidden_size]
  std::vector<layer_weights> layers;
};

/// One parameter of every layer: its name behind "model.layers.N.", where it is kept, and its shape.
struct layer_parameter {
  std::string_view name;
  at::Tensor layer_weights::*member;
  /// Empty for a parameter that the model does not have.
  std::vector<std::int64_t> (*shape)(const model_config&);
};

namespace weights_details {

using extents = std::vector<std::int64_t>;

inline extents hidden(const model_config& c) { return {c.hidden_size}; }
inline extents queries(const model_config& c) { return {c.q_heads * c.head_dim, c.hidden_size}; }
inline extents keys(const model_config& c) { return {c.kv_heads * c.head_dim, c.hidden_size}; }
inline extents output(const model_config& c) { return {c.hidden_size, c.q_heads * c.head_dim}; }
inline extents widening(const model_config& c) { return {c.intermediate_size, c.hidden_size}; }
inline extents narrowing(const model_config& c) { return {c.hidden_size, c.intermediate_size}; }

inline extents query_bias(const model_config& c) {
  return c.attention_bias ? extents{c.q_heads * c.head_dim} : extents{};
}
inline extents key_bias(const model_config& c) {
  return c.attention_bias ? extents{c.kv_heads * c.head_dim} : extents{};
}
inline extents output_bias(const model_config& c) { return c.attention_bias ? extents{c.hidden_size} : extents{}; }
inline extents wide_bias(const model_config& c) { return c.mlp_bias ? extents{c.intermediate_size} : extents{}; }
inline extents narrow_bias(const model_config& c) { return c.mlp_bias ? extents{c.hidden_size} : extents{}; }

}  // namespace weights_details

/// A layer's parameters under the names that transformers gives them. Source: modeling_llama.py.
inline constexpr std::array<layer_parameter, 16> layer_parameters{{
    {"input_layernorm.weight", &layer_weights::input_layernorm, weights_details::hidden},
    {"self_attn.q_proj.weight", &layer_weights::q_proj, weights_details::queries},
    {"self_attn.q_proj.bias", &layer_weights::q_bias, weights_details::query_bias},
    {"self_attn.k_proj.weight", &layer_weights::k_proj, weights_details::keys},
    {"self_attn.k_proj.bias", &layer_weights::k_bias, weights_details::key_bias},
    {"self_attn.v_proj.weight", &layer_weights::v_proj, weights_details::keys},
    {"self_attn.v_proj.bias", &layer_weights::v_bias, weights_details::key_bias},
    {"self_attn.o_proj.weight", &layer_weights::o_proj, weights_details::output},
    {"self_attn.o_proj.bias", &layer_weights::o_bias, weights_details::output_bias},
    {"post_attention_layernorm.weight", &layer_weights::post_attention_layernorm, weights_details::hidden},
    {"mlp.gate_proj.weight", &layer_weights::gate_proj, weights_details::widening},
    {"mlp.gate_proj.bias", &layer_weights::gate_bias, weights_details::wide_bias},
    {"mlp.up_proj.weight", &layer_weights::up_proj, weights_details::widening},
    {"mlp.up_proj.bias", &layer_weights::up_bias, weights_details::wide_bias},
    {"mlp.down_proj.weight", &layer_weights::down_proj, weights_details::narrowing},
    {"mlp.down_proj.bias", &layer_weights::down_bias, weights_details::narrow_bias},
}};

/// Calls `visit(name, tensor)` for every parameter that exists, under transformers' name; for a tied head only once.
/// @param weights const or not; `visit` gets the tensors likewise
template <class Weights, class Visit>
requires std::is_same_v<std::remove_const_t<Weights>, model_weights>
void for_each_parameter(Weights& weights, Visit&& visit) {
  visit(std::string("model.embed_tokens.weight"), weights.embed_tokens);
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    for (const layer_parameter& parameter : layer_parameters) {
      auto& tensor = weights.layers[i].*parameter.member;
      if (tensor.defined()) {
        visit(fmt::format("model.layers.{}.{}", i, parameter.name), tensor);
      }
    }
  }
  visit(std::string("model.norm.weight"), weights.norm);
  if (!weights.lm_head.is_same(weights.embed_tokens)) {
    visit(std::string("lm_head.weight"), weights.lm_head);
  }
}

/// Builds weights by asking `make(name, shape)` for every parameter that the configuration has.
/// @param make returns a tensor of that shape; called in the order of `for_each_parameter`
template <class Make>
model_weights make_weights(const model_config& config, Make&& make) {
  const std::vector<std::int64_t> vocabulary{config.vocab_size, config.hidden_size};
  model_weights weights;
  weights.embed_tokens = make(std::string("model.embed_tokens.weight"), vocabulary);
  weights.layers.resize(static_cast<std::size_t>(config.layers));
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    for (const layer_parameter& parameter : layer_parameters) {
      if (const auto shape = parameter.shape(config); !shape.empty()) {
        weights.layers[i].*parameter.member = make(fmt::format("model.layers.{}.{}", i, parameter.name), shape);
      }
    }
  }
  weights.norm = make(std::string("model.norm.weight"), weights_details::hidden(config));
  weights.lm_head = config.tie_word_embeddings ? weights.embed_tokens : make(std::string("lm_head.weight"), vocabulary);
  return weights;
}

}  // namespace kvtransfer
