#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/model/causal_lm.hpp"

namespace kvtransfer::test {

/// What a plan means, spelt out: one sequence, one head and one token after the other, in double; keys that are not
/// seen are not there, so there is no mask and no padding. Llama without biases, its rotary type not depending on
/// length.
class slow_reference {
 public:
  slow_reference(const causal_lm& model, const plan& input) : model_(&model), input_(&input) {}

  /// Logits `[vocab_size]`, double, of the last token of sequence `b`.
  at::Tensor last_logits(std::int64_t b) const {
    const model_weights& weights = model_->weights;
    const std::vector<std::int64_t>& ids = input_->token_ids[static_cast<std::size_t>(b)];
    at::Tensor hidden = wide(weights.embed_tokens).index_select(0, at::tensor(ids, at::kLong));
    for (std::int64_t i = 0; i < model_->config.layers; ++i) {
      const layer_weights& layer = weights.layers[static_cast<std::size_t>(i)];
      hidden = hidden + attended(i, b, normed(hidden, layer.input_layernorm));
      const at::Tensor x = normed(hidden, layer.post_attention_layernorm);
      const at::Tensor gate = x.matmul(wide(layer.gate_proj).t());
      const at::Tensor up = x.matmul(wide(layer.up_proj).t());
      hidden = hidden + (gate * gate.sigmoid() * up).matmul(wide(layer.down_proj).t());
    }
    const at::Tensor head = wide(weights.lm_head.defined() ? weights.lm_head : weights.embed_tokens);
    return head.mv(normed(hidden[-1], weights.norm));
  }

 private:
  static at::Tensor wide(const at::Tensor& tensor) { return tensor.to(at::kDouble); }
  static at::Tensor wide(const weight_matrix& matrix) { return wide(matrix.values()); }

  at::Tensor normed(const at::Tensor& x, const at::Tensor& weight) const {
    return x / (x.square().mean(-1, true) + model_->config.rms_norm_eps).sqrt() * wide(weight);
  }

  /// A head's vector `[head_dim]` turned to `position`, pairs being (i, i + head_dim / 2).
  at::Tensor rotated(const at::Tensor& x, std::int64_t layer, std::int64_t position) const {
    const std::vector<float> frequencies =
        rotary_specifications(model_->config)[static_cast<std::size_t>(layer)].inv_freq;
    const auto pairs = static_cast<std::int64_t>(frequencies.size());
    at::Tensor turned = x.clone();
    for (std::int64_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(position) * frequencies[static_cast<std::size_t>(i)];
      const double a = x[i].item<double>();
      const double c = x[i + pairs].item<double>();
      turned[i].fill_(a * std::cos(angle) - c * std::sin(angle));
      turned[i + pairs].fill_(a * std::sin(angle) + c * std::cos(angle));
    }
    return turned;
  }

  /// Whether the plan shows `slot` of a segment to a KV head.
  static bool shows(const segment& part, std::int64_t b, std::int64_t head, std::int64_t slot) {
    const position_map& positions = part.kv().frame().positions;
    const bool is_key =
        !positions.row(0, b, head).one_run_per_slot()[static_cast<std::size_t>(slot)].state.is_padding();
    const at::Tensor& visible = part.visible;
    return is_key && (!visible.defined() || visible[b][visible.size(1) == 1 ? 0 : head][slot].item<bool>());
  }

  /// @param x normed hidden states `[tokens, hidden_size]` of sequence `b`
  at::Tensor attended(std::int64_t index, std::int64_t b, const at::Tensor& x) const {
    const model_config& config = model_->config;
    const layer_weights& layer = model_->weights.layers[static_cast<std::size_t>(index)];
    const at::Tensor q = x.matmul(wide(layer.q_proj).t()).view({-1, config.q_heads, config.head_dim});
    const at::Tensor k = x.matmul(wide(layer.k_proj).t()).view({-1, config.kv_heads, config.head_dim});
    const at::Tensor v = x.matmul(wide(layer.v_proj).t()).view({-1, config.kv_heads, config.head_dim});
    const std::vector<std::int64_t> all = input_->positions.row(0, b, 0).positions();
    const std::vector<std::int64_t> positions(all.end() - x.size(0), all.end());
    at::Tensor context = at::empty({x.size(0), config.q_heads, config.head_dim}, x.options());
    for (std::int64_t h = 0; h < config.q_heads; ++h) {
      const std::int64_t group = h / (config.q_heads / config.kv_heads);
      std::vector<at::Tensor> keys;
      std::vector<at::Tensor> values;
      for (const segment& part : input_->segments(index)) {
        for (std::int64_t slot = 0; slot < part.kv().size(); ++slot) {
          if (shows(part, b, group, slot)) {
            keys.push_back(wide(part.kv().keys()[b][group][slot]));
            values.push_back(wide(part.kv().values()[b][group][slot]));
          }
        }
      }
      for (std::int64_t t = 0; t < x.size(0); ++t) {
        const std::int64_t position = positions[static_cast<std::size_t>(t)];
        keys.push_back(rotated(k[t][group], index, position));
        values.push_back(v[t][group]);
        const double scale = 1 / std::sqrt(static_cast<double>(config.head_dim));
        const at::Tensor scores = at::stack(keys).matmul(rotated(q[t][h], index, position)) * scale;
        context[t][h].copy_(at::softmax(scores, 0).matmul(at::stack(values)));
      }
    }
    return context.flatten(1).matmul(wide(layer.o_proj).t());
  }

  const causal_lm* model_;
  const plan* input_;
};

/// Last tokens' logits `[batch, vocab_size]` of a plan, as it is meant.
inline at::Tensor reference_logits(const causal_lm& model, const plan& input) {
  std::vector<at::Tensor> rows;
  for (std::int64_t b = 0; b < input.batch(); ++b) {
    rows.push_back(slow_reference(model, input).last_logits(b));
  }
  return at::stack(rows);
}

}  // namespace kvtransfer::test
