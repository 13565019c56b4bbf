#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kvtransfer/model/causal_lm.hpp"

namespace kvtransfer::test {

using vector_of_doubles = std::vector<double>;

/// What a model wrote for one token, `[layer][kv_head][head_dim]`; keys without rotation.
struct written_token {
  std::int64_t id = 0;
  std::vector<std::vector<vector_of_doubles>> keys;
  std::vector<std::vector<vector_of_doubles>> values;
};

/// A key and a value as a query meets them, the key rotated.
struct seen_slot {
  vector_of_doubles key;
  vector_of_doubles value;
};

/// What tokens may look at, `[layer][kv_head]`: what is hidden is not there.
using seen_slots = std::vector<std::vector<std::vector<seen_slot>>>;

/// A small Llama without biases, in loops over doubles, one token after the other: no tensors, no masks, no padding,
/// nothing of the library but the weights' numbers.
class vector_model {
 public:
  explicit vector_model(const causal_lm& model)
      : config_(model.config),
        frequencies_(rotary_specifications(model.config).front().inv_freq),
        embedding_(matrix(model.weights.embed_tokens)),
        head_(matrix(model.weights.lm_head.defined() ? model.weights.lm_head : model.weights.embed_tokens)),
        norm_(numbers(model.weights.norm)) {
    for (const layer_weights& layer : model.weights.layers) {
      layers_.push_back({numbers(layer.input_layernorm), numbers(layer.post_attention_layernorm),
                         matrix(layer.q_proj.values()), matrix(layer.k_proj.values()), matrix(layer.v_proj.values()),
                         matrix(layer.o_proj.values()), matrix(layer.gate_proj.values()),
                         matrix(layer.up_proj.values()), matrix(layer.down_proj.values())});
    }
  }

  [[nodiscard]] const model_config& config() const { return config_; }

  /// A head's vector rotated to `position`, pairs being (i, i + head_dim / 2).
  [[nodiscard]] vector_of_doubles rotated(const vector_of_doubles& x, std::int64_t position) const {
    vector_of_doubles turned = x;
    const std::size_t pairs = frequencies_.size();
    for (std::size_t i = 0; i < pairs; ++i) {
      const double angle = static_cast<double>(position) * static_cast<double>(frequencies_[i]);
      turned[i] = x[i] * std::cos(angle) - x[i + pairs] * std::sin(angle);
      turned[i + pairs] = x[i] * std::sin(angle) + x[i + pairs] * std::cos(angle);
    }
    return turned;
  }

  /// Reads one token at `position` behind what it sees, which it joins.
  /// @param logits are set to the scores of what follows
  std::shared_ptr<const written_token> read(std::int64_t id, std::int64_t position, seen_slots& seen,
                                            vector_of_doubles& logits) const {
    auto written = std::make_shared<written_token>();
    written->id = id;
    vector_of_doubles hidden = embedding_[static_cast<std::size_t>(id)];
    for (std::size_t index = 0; index < layers_.size(); ++index) {
      const layer& weights = layers_[index];
      const vector_of_doubles x = normed(hidden, weights.input_norm);
      const auto heads_of = [&](const rows& projection) { return split(product(projection, x)); };
      const auto q = heads_of(weights.q);
      written->keys.push_back(heads_of(weights.k));
      written->values.push_back(heads_of(weights.v));
      for (std::size_t head = 0; head < written->keys.back().size(); ++head) {
        seen[index][head].push_back({rotated(written->keys.back()[head], position), written->values.back()[head]});
      }
      vector_of_doubles context;
      for (std::size_t head = 0; head < q.size(); ++head) {
        const std::size_t group = head * written->keys.back().size() / q.size();
        const vector_of_doubles part = attended(rotated(q[head], position), seen[index][group]);
        context.insert(context.end(), part.begin(), part.end());
      }
      add(hidden, product(weights.o, context));
      const vector_of_doubles y = normed(hidden, weights.post_norm);
      vector_of_doubles gate = product(weights.gate, y);
      const vector_of_doubles up = product(weights.up, y);
      for (std::size_t i = 0; i < gate.size(); ++i) {
        gate[i] *= up[i] / (1 + std::exp(-gate[i]));
      }
      add(hidden, product(weights.down, gate));
    }
    logits = product(head_, normed(hidden, norm_));
    return written;
  }

 private:
  using rows = std::vector<vector_of_doubles>;

  struct layer {
    vector_of_doubles input_norm, post_norm;
    rows q, k, v, o, gate, up, down;
  };

  static vector_of_doubles numbers(const at::Tensor& tensor) {
    const at::Tensor wide = tensor.to(at::kDouble).contiguous();
    return {wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel()};
  }
  static rows matrix(const at::Tensor& tensor) {
    rows all;
    for (std::int64_t i = 0; i < tensor.size(0); ++i) {
      all.push_back(numbers(tensor[i]));
    }
    return all;
  }
  static double dot(const vector_of_doubles& a, const vector_of_doubles& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
      sum += a[i] * b[i];
    }
    return sum;
  }
  static vector_of_doubles product(const rows& matrix, const vector_of_doubles& x) {
    vector_of_doubles y;
    for (const vector_of_doubles& row : matrix) {
      y.push_back(dot(row, x));
    }
    return y;
  }
  static void add(vector_of_doubles& to, const vector_of_doubles& more) {
    for (std::size_t i = 0; i < to.size(); ++i) {
      to[i] += more[i];
    }
  }
  [[nodiscard]] vector_of_doubles normed(const vector_of_doubles& x, const vector_of_doubles& weight) const {
    const double scale = 1 / std::sqrt(dot(x, x) / static_cast<double>(x.size()) + config_.rms_norm_eps);
    vector_of_doubles y;
    for (std::size_t i = 0; i < x.size(); ++i) {
      y.push_back(x[i] * scale * weight[i]);
    }
    return y;
  }
  [[nodiscard]] std::vector<vector_of_doubles> split(const vector_of_doubles& x) const {
    std::vector<vector_of_doubles> heads;
    for (auto begin = x.begin(); begin != x.end(); begin += config_.head_dim) {
      heads.emplace_back(begin, begin + config_.head_dim);
    }
    return heads;
  }
  [[nodiscard]] vector_of_doubles attended(const vector_of_doubles& q, const std::vector<seen_slot>& seen) const {
    vector_of_doubles scores;
    for (const seen_slot& slot : seen) {
      scores.push_back(dot(q, slot.key) / std::sqrt(static_cast<double>(config_.head_dim)));
    }
    const double largest = *std::ranges::max_element(scores);
    double sum = 0;
    for (double& score : scores) {
      score = std::exp(score - largest);
      sum += score;
    }
    vector_of_doubles context(q.size(), 0.0);
    for (std::size_t i = 0; i < seen.size(); ++i) {
      for (std::size_t j = 0; j < context.size(); ++j) {
        context[j] += scores[i] / sum * seen[i].value[j];
      }
    }
    return context;
  }

  model_config config_;
  std::vector<float> frequencies_;
  rows embedding_, head_;
  vector_of_doubles norm_;
  std::vector<layer> layers_;
};

}  // namespace kvtransfer::test
