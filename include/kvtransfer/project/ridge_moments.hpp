#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/project/concepts.hpp"
#include "kvtransfer/project/detail/project_layers.hpp"
#include "kvtransfer/project/detail/ridge_solution.hpp"
#include "kvtransfer/project/head_shape.hpp"
#include "kvtransfer/project/projectors/linear.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"

namespace kvtransfer {

/// How a ridge regression is solved.
struct ridge_settings {
  /// Added to the diagonal of the centred second moments, which are sums over tokens: scikit-learn's `alpha`. A bias is
  /// not penalised.
  double lambda = 1.0;
  std::int64_t source_layers = 0;  ///< how many of those gathered are used, the first ones; 0: all
  bool by_head = false;            ///< see `linear_map`
};

/// What least squares from one model's keys and values to another's needs to know of the data, whatever the penalty and
/// whatever part of the layers and heads is used: first and second moments in float64, gathered token by token. Chunks
/// may come in any order, and from several of these, which are then `merge`d.
class ridge_moments {
 public:
  /// @param source_layers those that each layer of the receiver is made of, the nearest first; see `layer_alignment`
  ridge_moments(key_rotation rotation, head_shape source, head_shape receiver,
                std::vector<std::vector<std::int64_t>> source_layers)
      : rotation_(rotation), source_(source), receiver_(receiver), source_layers_(std::move(source_layers)) {
    for (const std::vector<std::int64_t>& chosen : source_layers_) {
      const std::int64_t in = static_cast<std::int64_t>(chosen.size()) * source_.features();
      keys_.emplace_back(in, receiver_.features());
      values_.emplace_back(in, receiver_.features());
    }
  }

  /// Takes in what both models made of one text, slot by slot; what is padding in either counts for nothing.
  /// @throws shape_error, frame_error where the caches are not of the shapes given, or not of the same slots
  void add(const cache_view<>& source, const cache_view<>& receiver) {
    require_count<shape_error>(receiver.layers(), source_layers_.size(), where, "receiver", "a cache of {} layers");
    detail::source_layers_read read(source, rotation_);
    std::int64_t tokens = 0;
    for (std::size_t i = 0; i < source_layers_.size(); ++i) {
      const auto index = static_cast<std::int64_t>(i);
      const layer_view<>& layer = receiver.layer(index);
      const layer_kv targets{detail::keys_read(layer.keys(), layer.shared_frame(), rotation_), layer.values()};
      detail::require_shape(targets, receiver_, where, fmt::format("receiver layer {}", i));
      const at::Tensor valid = held_by_all_heads(layer);
      std::vector<at::Tensor> keys;
      std::vector<at::Tensor> values;
      for (const std::int64_t chosen : source_layers_[i]) {
        const layer_kv& from = read.at(chosen, where);
        const std::string whose = fmt::format("source layer {}", chosen);
        detail::require_shape(from, source_, where, whose);
        detail::require_same_keys(source.layer(chosen).frame(), layer.frame(), rotation_, whose);
        keys.push_back(features(from.keys, valid));
        values.push_back(features(from.values, valid));
      }
      if (!keys.empty()) {
        keys_[i].add(detail::joined(keys, 1), features(targets.keys, valid));
        values_[i].add(detail::joined(values, 1), features(targets.values, valid));
        tokens = keys.front().size(0);
      }
    }
    tokens_ += tokens;
  }

  /// Takes in all that `other` has taken in. @throws shape_error unless both were made for the same
  void merge(const ridge_moments& other) {
    require<shape_error>(rotation_ == other.rotation_ && source_ == other.source_ && receiver_ == other.receiver_ &&
                             source_layers_ == other.source_layers_,
                         "ridge_moments::merge", "other", "moments of the same layers, heads and rotation",
                         "of others");
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      keys_[i].merge(other.keys_[i]);
      values_[i].merge(other.values_[i]);
    }
    tokens_ += other.tokens_;
  }

  /// Tokens taken in.
  [[nodiscard]] std::int64_t tokens() const { return tokens_; }

  /// The projector that these moments give; needs no data again for another setting.
  /// @param dtype of its numbers
  /// @throws value_error for a penalty below zero, more layers than were gathered, and moments that no penalty this
  ///         small makes solvable: too few tokens
  [[nodiscard]] projectors::linear fit(const ridge_settings& settings, at::ScalarType dtype = at::kFloat) const {
    require<value_error>(settings.lambda >= 0, "ridge_moments::fit", "lambda", "0 or more",
                         formatted("{}", settings.lambda));
    std::vector<linear_layer> layers;
    for (std::size_t i = 0; i < source_layers_.size(); ++i) {
      const auto gathered = static_cast<std::int64_t>(source_layers_[i].size());
      const std::int64_t used = settings.source_layers == 0 ? gathered : settings.source_layers;
      require<value_error>(used >= 0 && (used <= gathered || gathered == 0), "ridge_moments::fit", "source_layers",
                           formatted("at most the {} gathered for layer {}", gathered, i), formatted("{}", used));
      linear_layer& layer = layers.emplace_back();
      if (gathered > 0) {
        layer.source_layers.assign(source_layers_[i].begin(), source_layers_[i].begin() + used);
        layer.by_head = settings.by_head;
        layer.keys = solved(keys_[i], used, settings, dtype, fmt::format("keys of layer {}", i));
        layer.values = solved(values_[i], used, settings, dtype, fmt::format("values of layer {}", i));
      }
    }
    return {rotation_, source_, receiver_, std::move(layers)};
  }

 private:
  static constexpr std::string_view where = "ridge_moments::add";

  /// bool `[batch, seq]`: slots that hold a key in every head.
  [[nodiscard]] static at::Tensor held_by_all_heads(const layer_view<>& layer) {
    return validity_tensor(layer.frame().positions, layer.device()).all(1);
  }

  /// float64 `[tokens, kv_heads·head_dim]` of the slots that `valid` marks.
  [[nodiscard]] static at::Tensor features(const at::Tensor& tensor, const at::Tensor& valid) {
    const at::Tensor flat = detail::flat_heads(tensor.detach());
    const at::Tensor slots = valid.flatten().nonzero().flatten();
    return flat.flatten(0, 1).index_select(0, slots).to(at::kDouble);
  }

  [[nodiscard]] linear_map solved(const detail::summed_moments& moments, std::int64_t layers,
                                  const ridge_settings& settings, at::ScalarType dtype, std::string_view what) const {
    if (!settings.by_head) {
      const detail::ridge_solution found = detail::ridge_solved(
          moments, {0, layers * source_.features()}, {0, receiver_.features()}, tokens_, settings.lambda, what);
      return {found.weight.to(dtype).unsqueeze(0), found.bias.to(dtype).unsqueeze(0)};
    }
    std::vector<at::Tensor> weights;
    std::vector<at::Tensor> biases;
    for (std::int64_t head = 0; head < receiver_.kv_heads; ++head) {
      const std::int64_t from = head * source_.kv_heads / receiver_.kv_heads * source_.head_dim;
      detail::column_choice columns;
      for (std::int64_t layer = 0; layer < layers; ++layer) {
        columns.add(layer * source_.features() + from, source_.head_dim);
      }
      const detail::ridge_solution found = detail::ridge_solved(
          moments, columns, {head * receiver_.head_dim, receiver_.head_dim}, tokens_, settings.lambda, what);
      weights.push_back(found.weight);
      biases.push_back(found.bias);
    }
    return {detail::stacked(weights, 0).to(dtype), detail::stacked(biases, 0).to(dtype)};
  }

  key_rotation rotation_;
  head_shape source_;
  head_shape receiver_;
  std::vector<std::vector<std::int64_t>> source_layers_;
  std::vector<detail::summed_moments> keys_;    // one per layer of the receiver
  std::vector<detail::summed_moments> values_;  // likewise
  std::int64_t tokens_ = 0;
};

}  // namespace kvtransfer
