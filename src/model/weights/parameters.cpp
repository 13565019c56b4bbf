#include <fmt/format.h>

#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

#include "kvtransfer/model/weights.hpp"

namespace kvtransfer {

namespace {

/// One parameter of every layer: its name behind "model.layers.N.", where it is kept, and its shape.
struct layer_parameter {
  std::string_view name;
  std::variant<at::Tensor layer_weights::*, weight_matrix layer_weights::*> member;
  /// Empty for a parameter that the model does not have.
  std::vector<std::int64_t> (*shape)(const model_config&);
};

using extents = std::vector<std::int64_t>;

extents when(bool has, extents shape) { return has ? std::move(shape) : extents(); }

extents hidden(const model_config& c) { return {c.hidden_size}; }
extents queries(const model_config& c) { return when(!c.fuses_projections, {c.q_heads * c.head_dim, c.hidden_size}); }
extents keys(const model_config& c) { return when(!c.fuses_projections, {c.kv_heads * c.head_dim, c.hidden_size}); }
extents fused(const model_config& c) {
  return when(c.fuses_projections, {(c.q_heads + 2 * c.kv_heads) * c.head_dim, c.hidden_size});
}
extents output(const model_config& c) { return {c.hidden_size, c.q_heads * c.head_dim}; }
extents widening(const model_config& c) { return when(!c.fuses_projections, {c.intermediate_size, c.hidden_size}); }
extents fused_widening(const model_config& c) {
  return when(c.fuses_projections, {2 * c.intermediate_size, c.hidden_size});
}
extents narrowing(const model_config& c) { return {c.hidden_size, c.intermediate_size}; }

extents query_bias(const model_config& c) { return when(c.qkv_bias, {c.q_heads * c.head_dim}); }
extents key_bias(const model_config& c) { return when(c.qkv_bias, {c.kv_heads * c.head_dim}); }
extents output_bias(const model_config& c) { return when(c.output_bias, {c.hidden_size}); }
extents wide_bias(const model_config& c) { return when(c.mlp_bias, {c.intermediate_size}); }
extents narrow_bias(const model_config& c) { return when(c.mlp_bias, {c.hidden_size}); }
extents head_norm(const model_config& c) { return when(c.norms_queries_and_keys, {c.head_dim}); }
extents output_norm(const model_config& c) { return when(c.norms_outputs, {c.hidden_size}); }

/// A layer's parameters under the names that transformers gives them, those of all architectures. Source: its modeling
/// files.
constexpr layer_parameter layer_parameters[] = {
    {"input_layernorm.weight", &layer_weights::input_layernorm, hidden},
    {"self_attn.q_proj.weight", &layer_weights::q_proj, queries},
    {"self_attn.q_proj.bias", &layer_weights::q_bias, query_bias},
    {"self_attn.k_proj.weight", &layer_weights::k_proj, keys},
    {"self_attn.k_proj.bias", &layer_weights::k_bias, key_bias},
    {"self_attn.v_proj.weight", &layer_weights::v_proj, keys},
    {"self_attn.v_proj.bias", &layer_weights::v_bias, key_bias},
    {"self_attn.qkv_proj.weight", &layer_weights::qkv_proj, fused},
    {"self_attn.q_norm.weight", &layer_weights::q_norm, head_norm},
    {"self_attn.k_norm.weight", &layer_weights::k_norm, head_norm},
    {"self_attn.o_proj.weight", &layer_weights::o_proj, output},
    {"self_attn.o_proj.bias", &layer_weights::o_bias, output_bias},
    {"post_attention_layernorm.weight", &layer_weights::post_attention_layernorm, hidden},
    {"pre_feedforward_layernorm.weight", &layer_weights::pre_feedforward_layernorm, output_norm},
    {"mlp.gate_proj.weight", &layer_weights::gate_proj, widening},
    {"mlp.gate_proj.bias", &layer_weights::gate_bias, wide_bias},
    {"mlp.up_proj.weight", &layer_weights::up_proj, widening},
    {"mlp.up_proj.bias", &layer_weights::up_bias, wide_bias},
    {"mlp.gate_up_proj.weight", &layer_weights::gate_up_proj, fused_widening},
    {"mlp.down_proj.weight", &layer_weights::down_proj, narrowing},
    {"mlp.down_proj.bias", &layer_weights::down_bias, narrow_bias},
    {"post_feedforward_layernorm.weight", &layer_weights::post_feedforward_layernorm, output_norm},
};

template <class Tensor, class Visit>
  requires std::same_as<std::remove_const_t<Tensor>, at::Tensor>
void visit_parts(const std::string& name, Tensor& tensor, const Visit& visit) {
  if (tensor.defined()) {
    visit(name, tensor);
  }
}

/// Of a matrix in 4 bits the codes and all their scales.
template <class Matrix, class Visit>
  requires std::same_as<std::remove_const_t<Matrix>, weight_matrix>
void visit_parts(const std::string& name, Matrix& matrix, const Visit& visit) {
  visit_parts(name, matrix.dense(), visit);
  if (auto& nf4 = matrix.nf4()) {
    visit(name, nf4->codes);
    visit(name + ".absmax", nf4->absmax);
    if (auto& nested = nf4->nested) {
      visit(name + ".nested_absmax", nested->absmax);
      visit(name + ".nested_quant_map", nested->quant_map);
      visit(name + ".nested_offset", nested->offset);
    }
  }
}

/// @param weights const or not; `visit` gets the tensors likewise
template <class Weights, class Visit>
void visit_parameters(Weights& weights, const Visit& visit) {
  visit(std::string("model.embed_tokens.weight"), weights.embed_tokens);
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    for (const layer_parameter& parameter : layer_parameters) {
      const std::string name = fmt::format("model.layers.{}.{}", i, parameter.name);
      std::visit([&](auto member) { visit_parts(name, weights.layers[i].*member, visit); }, parameter.member);
    }
  }
  visit(std::string("model.norm.weight"), weights.norm);
  if (!weights.lm_head.is_same(weights.embed_tokens)) {
    visit(std::string("lm_head.weight"), weights.lm_head);
  }
}

void set(layer_weights& layer, const layer_parameter& parameter, weight_matrix made) {
  if (const auto* matrix = std::get_if<weight_matrix layer_weights::*>(&parameter.member)) {
    layer.** matrix = std::move(made);
  } else {
    layer.*std::get<at::Tensor layer_weights::*>(parameter.member) = made.dense();
  }
}

}  // namespace

void for_each_parameter(const model_weights& weights,
                        const std::function<void(const std::string&, const at::Tensor&)>& visit) {
  visit_parameters(weights, visit);
}

void for_each_parameter(model_weights& weights, const std::function<void(const std::string&, at::Tensor&)>& visit) {
  visit_parameters(weights, visit);
}

model_weights make_weights(
    const model_config& config,
    const std::function<weight_matrix(const std::string&, const std::vector<std::int64_t>&)>& make) {
  const std::vector<std::int64_t> vocabulary{config.vocab_size, config.hidden_size};
  model_weights weights;
  weights.embed_tokens = make(std::string("model.embed_tokens.weight"), vocabulary).dense();
  weights.layers.resize(static_cast<std::size_t>(config.layers));
  for (std::size_t i = 0; i < weights.layers.size(); ++i) {
    for (const layer_parameter& parameter : layer_parameters) {
      if (const auto shape = parameter.shape(config); !shape.empty()) {
        set(weights.layers[i], parameter, make(fmt::format("model.layers.{}.{}", i, parameter.name), shape));
      }
    }
  }
  weights.norm = make(std::string("model.norm.weight"), hidden(config)).dense();
  weights.lm_head =
      config.tie_word_embeddings ? weights.embed_tokens : make(std::string("lm_head.weight"), vocabulary).dense();
  return weights;
}

bool is_layer_matrix(std::string_view name) {
  return name.find(".layers.") != std::string_view::npos && name.ends_with("_proj.weight");
}

std::string describe_quantization(const model_weights& weights) {
  for (const layer_weights& layer : weights.layers) {
    if (layer.o_proj.nf4()) {
      return "nf4";
    }
  }
  return "none";
}

}  // namespace kvtransfer
