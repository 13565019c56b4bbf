#include "model/transformer.hpp"

#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/scalar_tensor.h>
#include <ATen/ops/silu.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "model/attention.hpp"
#include "model/fused_blocks.hpp"
#include "model/rounded_rows.hpp"
#include "model/weights/nf4_product.hpp"

namespace kvtransfer::detail {

namespace transformer {

namespace {

/// `[batch, seq, heads * head_dim]` as `[batch, seq, heads, head_dim]`.
at::Tensor split_heads(const at::Tensor& x, std::int64_t head_dim) { return x.unflatten(-1, {-1, head_dim}); }

at::Tensor dense_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (std::optional<at::Tensor> product = few_rows_product(x, weight, bias)) {
    return *std::move(product);
  }
  return linear_in_rounded_rows(x, weight, bias);
}

at::Tensor activated(const at::Tensor& gate, gate_activation activation) {
  switch (activation) {
    case gate_activation::gelu:
      return at::gelu(gate);
    case gate_activation::gelu_tanh:
      return at::gelu(gate, "tanh");
    case gate_activation::silu:
      break;
  }
  return at::silu(gate);
}

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, bool adds_one) {
  if (std::optional<at::Tensor> fused = fused_rms_norm(x, weight, eps, adds_one)) {
    return *std::move(fused);
  }
  const at::ScalarType compute = at::toOpMathType(x.scalar_type());
  const at::Tensor wide = x.to(compute);
  const at::Tensor normed = wide * at::rsqrt(wide.square().mean(-1, true) + eps);
  return adds_one ? (normed * (weight.to(compute) + 1)).to(x.scalar_type()) : weight * normed.to(x.scalar_type());
}

at::Tensor add_rms_norm(at::Tensor& hidden, const at::Tensor& more, const at::Tensor& weight, double eps,
                        bool adds_one) {
  if (std::optional<summed_norm> fused = fused_add_rms_norm(hidden, more, weight, eps, adds_one)) {
    hidden = std::move(fused->sum);
    return std::move(fused->normed);
  }
  hidden = hidden + more;
  return rms_norm(hidden, weight, eps, adds_one);
}

at::Tensor linear(const at::Tensor& x, const weight_matrix& weight, const at::Tensor& bias) {
  if (weight.dense().defined()) {
    return dense_linear(x, weight.dense(), bias);
  }
  const nf4_matrix& nf4 = *weight.nf4();
  const at::ScalarType compute = nf4.compute_dtype.value_or(x.scalar_type());
  const at::Tensor used = x.to(compute);
  const at::Tensor added = bias.defined() ? bias.to(compute) : bias;
  if (const std::optional<at::Tensor> product = nf4_product(used, nf4, added)) {
    return product->to(x.scalar_type());
  }
  return dense_linear(used, weight.values().to(compute), added).to(x.scalar_type());
}

namespace {

/// Whether codes are multiplied in x's own dtype, and so by one kernel with others.
bool multiplies_as_it_is(const weight_matrix& weight, const at::Tensor& x) {
  return weight.nf4() && weight.nf4()->compute_dtype.value_or(x.scalar_type()) == x.scalar_type();
}

/// `linear` with several matrices: at once where a kernel takes them so.
std::vector<at::Tensor> linears(const at::Tensor& x, const std::vector<const weight_matrix*>& weights,
                                const std::vector<at::Tensor>& biases) {
  const auto all = [&](auto&& holds) { return std::ranges::all_of(weights, [&](auto* each) { return holds(*each); }); };
  std::optional<std::vector<at::Tensor>> products;
  if (all([](const weight_matrix& each) { return each.dense().defined(); })) {
    std::vector<at::Tensor> dense;
    for (const weight_matrix* each : weights) {
      dense.push_back(each->dense());
    }
    products = few_rows_products(x, dense, biases);
  } else if (all([&](const weight_matrix& each) { return multiplies_as_it_is(each, x); })) {
    std::vector<const nf4_matrix*> codes;
    for (const weight_matrix* each : weights) {
      codes.push_back(&*each->nf4());
    }
    products = nf4_products(x, codes, biases);
  }
  if (!products) {
    products.emplace();
    for (std::size_t i = 0; i < weights.size(); ++i) {
      products->push_back(linear(x, *weights[i], biases[i]));
    }
  }
  return *std::move(products);
}

/// activation(gate) · up of a gated MLP, where one kernel does all of it.
std::optional<at::Tensor> gate_at_once(const model_config& config, const layer_weights& layer, const at::Tensor& x) {
  const weight_matrix& gate = layer.gate_proj;
  const weight_matrix& up = layer.up_proj;
  if (gate.dense().defined() && up.dense().defined()) {
    return few_rows_gate(x, gate.dense(), up.dense(), layer.gate_bias, layer.up_bias, config.activation);
  }
  if (multiplies_as_it_is(gate, x) && multiplies_as_it_is(up, x)) {
    return nf4_gate(x, *gate.nf4(), *up.nf4(), layer.gate_bias, layer.up_bias, config.activation);
  }
  return std::nullopt;
}

}  // namespace

at::Tensor embed(const model_config& config, const model_weights& weights, const at::Tensor& token_ids) {
  at::Tensor embedded = at::embedding(weights.embed_tokens, token_ids);
  if (config.embedding_scale == 1) {
    return embedded;
  }
  return embedded *
         at::scalar_tensor(static_cast<float>(config.embedding_scale), embedded.options().requires_grad(false));
}

projections project(const model_config& config, const layer_weights& layer, const at::Tensor& x) {
  at::Tensor q;
  at::Tensor k;
  at::Tensor v;
  if (config.fuses_projections) {
    const std::int64_t queries = config.q_heads * config.head_dim;
    const std::int64_t keys = config.kv_heads * config.head_dim;
    const std::vector<at::Tensor> parts =
        linear(x, layer.qkv_proj, layer.q_bias).split_with_sizes({queries, keys, keys}, -1);
    q = split_heads(parts[0], config.head_dim);
    k = split_heads(parts[1], config.head_dim);
    v = split_heads(parts[2], config.head_dim);
  } else {
    const std::vector<at::Tensor> parts =
        linears(x, {&layer.q_proj, &layer.k_proj, &layer.v_proj}, {layer.q_bias, layer.k_bias, layer.v_bias});
    q = split_heads(parts[0], config.head_dim);
    k = split_heads(parts[1], config.head_dim);
    v = split_heads(parts[2], config.head_dim);
  }
  if (config.norms_queries_and_keys) {
    q = rms_norm(q, layer.q_norm, config.rms_norm_eps, config.norms_add_one);
    k = rms_norm(k, layer.k_norm, config.rms_norm_eps, config.norms_add_one);
  }
  return {q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)};
}

at::Tensor mlp(const model_config& config, const layer_weights& layer, const at::Tensor& x) {
  std::optional<at::Tensor> gated = gate_at_once(config, layer, x);
  if (!gated) {
    std::vector<at::Tensor> halves;
    if (config.fuses_projections) {
      halves = linear(x, layer.gate_up_proj, layer.gate_bias).chunk(2, -1);
    } else {
      halves = {linear(x, layer.gate_proj, layer.gate_bias), linear(x, layer.up_proj, layer.up_bias)};
    }
    gated = fused_gate(halves[0], halves[1], config.activation);
    gated = gated ? gated : activated(halves[0], config.activation) * halves[1];
  }
  return linear(*gated, layer.down_proj, layer.down_bias);
}

}  // namespace transformer

at::Tensor vocabulary_logits(const model_config& config, const model_weights& weights, const at::Tensor& hidden) {
  const at::Tensor head = weights.lm_head.defined() ? weights.lm_head : weights.embed_tokens;
  return capped(transformer::dense_linear(hidden, head, at::Tensor()), config.final_softcap);
}

}  // namespace kvtransfer::detail
