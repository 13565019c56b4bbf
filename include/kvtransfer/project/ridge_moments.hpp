#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
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
#include "kvtransfer/project/detail/slot_window.hpp"
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
  std::int64_t source_slots = 0;   ///< how many of those gathered are used, the nearest ones; 0: all
};

/// What least squares from one model's keys and values to another's needs to know of the data, whatever the penalty and
/// whatever part of the layers, slots and heads is used: first and second moments in float64, gathered token by token.
/// Chunks may come in any order, and from several of these, which are then `merge`d. Layers of the receiver that are
/// made of the same layers of the source share the second moments of those.
class ridge_moments {
 public:
  /// @param source_layers those that each layer of the receiver is made of, the nearest first; see `layer_alignment`
  /// @param source_slots of each source layer: a token's own, and those before it; see `linear_layer`
  /// @throws value_error for less than one slot
  ridge_moments(key_rotation rotation, head_shape source, head_shape receiver,
                std::vector<std::vector<std::int64_t>> source_layers, std::int64_t source_slots = 1)
      : rotation_(rotation),
        source_(source),
        receiver_(receiver),
        source_layers_(std::move(source_layers)),
        source_slots_(source_slots),
        groups_(grouped(source_layers_)) {
    require<value_error>(source_slots > 0, "ridge_moments", "source_slots", "1 or more", formatted("{}", source_slots));
    for (layer_group& group : groups_) {
      const std::int64_t in = static_cast<std::int64_t>(group.source_layers.size()) * features_of_layer();
      const std::int64_t out = static_cast<std::int64_t>(group.receiver_layers.size()) * receiver_.features();
      group.keys = detail::summed_moments(in, out);
      group.values = detail::summed_moments(in, out);
    }
  }

  /// Takes in what both models made of one text, slot by slot; what is padding in either counts for nothing.
  /// @throws shape_error, frame_error where the caches are not of the shapes given, or not of the same slots
  void add(const cache_view<>& source, const cache_view<>& receiver) {
    require_count<shape_error>(receiver.layers(), source_layers_.size(), where, "receiver", "a cache of {} layers");
    detail::source_layers_read read(source, rotation_);
    std::int64_t tokens = 0;
    for (layer_group& group : groups_) {
      if (group.source_layers.empty()) {
        continue;
      }
      const layer_view<>& first = receiver.layer(group.receiver_layers.front());
      const position_map& held = first.frame().positions;
      const at::Tensor slots = slots_with_keys(held, first.device());
      std::vector<at::Tensor> keys;
      std::vector<at::Tensor> values;
      for (const std::int64_t chosen : group.source_layers) {
        const layer_kv& from = read.at(chosen, where);
        const std::string whose = fmt::format("source layer {}", chosen);
        detail::require_shape(from, source_, where, whose);
        const layer_frame& frame = source.layer(chosen).frame();
        for (const std::int64_t index : group.receiver_layers) {
          detail::require_same_keys(frame, receiver.layer(index).frame(), rotation_, whose);
        }
        for (const layer_kv& each : detail::windowed(from, &frame, source_slots_)) {
          keys.push_back(features(each.keys, slots));
          values.push_back(features(each.values, slots));
        }
      }
      std::vector<at::Tensor> target_keys;
      std::vector<at::Tensor> target_values;
      for (const std::int64_t index : group.receiver_layers) {
        const layer_view<>& layer = receiver.layer(index);
        const layer_kv targets{detail::keys_read(layer.keys(), layer.shared_frame(), rotation_), layer.values()};
        const std::string whose = fmt::format("receiver layer {}", index);
        detail::require_shape(targets, receiver_, where, whose);
        require<frame_error>(layer.frame().positions.has_keys_of(held), where, whose,
                             "keys in the slots where the receiver's other layers have keys", "keys in others");
        target_keys.push_back(features(targets.keys, slots));
        target_values.push_back(features(targets.values, slots));
      }
      group.keys.add(detail::joined(keys, 1), detail::joined(target_keys, 1));
      group.values.add(detail::joined(values, 1), detail::joined(target_values, 1));
      tokens = slots.size(0);
    }
    tokens_ += tokens;
  }

  /// Takes in all that `other` has taken in. @throws shape_error unless both were made for the same
  void merge(const ridge_moments& other) {
    require<shape_error>(rotation_ == other.rotation_ && source_ == other.source_ && receiver_ == other.receiver_ &&
                             source_layers_ == other.source_layers_ && source_slots_ == other.source_slots_,
                         "ridge_moments::merge", "other", "moments of the same layers, slots, heads and rotation",
                         "of others");
    for (std::size_t i = 0; i < groups_.size(); ++i) {
      groups_[i].keys.merge(other.groups_[i].keys);
      groups_[i].values.merge(other.groups_[i].values);
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
    require<value_error>(settings.source_slots >= 0 && settings.source_slots <= source_slots_, "ridge_moments::fit",
                         "source_slots", formatted("at most the {} gathered", source_slots_),
                         formatted("{}", settings.source_slots));
    std::vector<linear_layer> layers;
    for (const std::vector<std::int64_t>& gathered : source_layers_) {
      const auto index = static_cast<std::int64_t>(layers.size());
      const auto count = static_cast<std::int64_t>(gathered.size());
      const std::int64_t used = settings.source_layers == 0 ? count : settings.source_layers;
      require<value_error>(used >= 0 && (used <= count || count == 0), "ridge_moments::fit", "source_layers",
                           formatted("at most the {} gathered for layer {}", count, index), formatted("{}", used));
      linear_layer& layer = layers.emplace_back();
      if (count > 0) {
        layer.source_layers.assign(gathered.begin(), gathered.begin() + used);
        layer.source_slots = settings.source_slots == 0 ? source_slots_ : settings.source_slots;
        layer.by_head = settings.by_head;
        const place made = place_of(index);
        layer.keys =
            solved(made.group->keys, made, layer, settings.lambda, dtype, fmt::format("keys of layer {}", index));
        layer.values =
            solved(made.group->values, made, layer, settings.lambda, dtype, fmt::format("values of layer {}", index));
      }
    }
    return {rotation_, source_, receiver_, std::move(layers)};
  }

 private:
  static constexpr std::string_view where = "ridge_moments::add";

  /// Layers of the receiver that are made of the same layers of the source.
  struct layer_group {
    std::vector<std::int64_t> source_layers;  // rising
    std::vector<std::int64_t> receiver_layers;
    detail::summed_moments keys = {0, 0};    // from those of all source layers to those of all receiver layers
    detail::summed_moments values = {0, 0};  // likewise
  };

  /// Where a layer of the receiver is found.
  struct place {
    const layer_group* group;
    std::int64_t member;  // of its receiver layers
  };

  [[nodiscard]] static std::vector<layer_group> grouped(const std::vector<std::vector<std::int64_t>>& source_layers) {
    std::vector<layer_group> groups;
    for (std::size_t i = 0; i < source_layers.size(); ++i) {
      std::vector<std::int64_t> rising = source_layers[i];
      std::ranges::sort(rising);
      rising.erase(std::unique(rising.begin(), rising.end()), rising.end());
      auto group = std::ranges::find(groups, rising, &layer_group::source_layers);
      if (group == groups.end()) {
        group = groups.insert(group, layer_group{std::move(rising), {}});
      }
      group->receiver_layers.push_back(static_cast<std::int64_t>(i));
    }
    return groups;
  }

  [[nodiscard]] place place_of(std::int64_t receiver_layer) const {
    for (const layer_group& group : groups_) {
      const auto found = std::ranges::find(group.receiver_layers, receiver_layer);
      if (found != group.receiver_layers.end()) {
        return {&group, found - group.receiver_layers.begin()};
      }
    }
    fail<shape_error>("ridge_moments", "layer", "one of the receiver", fmt::format("{}", receiver_layer));
  }

  /// Of a source layer's keys, or of its values, for one token.
  [[nodiscard]] std::int64_t features_of_layer() const { return source_slots_ * source_.features(); }

  /// int64 `[tokens]`: slots of all rows, one row behind the other, that hold a key in every head.
  [[nodiscard]] static at::Tensor slots_with_keys(const position_map& positions, at::Device device) {
    return validity_tensor(positions, device).all(1).flatten().nonzero().flatten();
  }

  /// float64 `[tokens, kv_heads·head_dim]` of `slots`.
  [[nodiscard]] static at::Tensor features(const at::Tensor& tensor, const at::Tensor& slots) {
    return detail::flat_heads(tensor.detach()).flatten(0, 1).index_select(0, slots).to(at::kDouble);
  }

  /// Columns of the moments that a head of the source fills, or all its heads, in the order of `linear_map`.
  [[nodiscard]] detail::column_choice columns_of(const layer_group& group, const linear_layer& layer,
                                                 std::int64_t first, std::int64_t count) const {
    detail::column_choice columns;
    for (const std::int64_t chosen : layer.source_layers) {
      const auto at = std::ranges::find(group.source_layers, chosen) - group.source_layers.begin();
      for (std::int64_t slot = 0; slot < layer.source_slots; ++slot) {
        columns.add(at * features_of_layer() + slot * source_.features() + first, count);
      }
    }
    return columns;
  }

  [[nodiscard]] linear_map solved(const detail::summed_moments& moments, const place& made, const linear_layer& layer,
                                  double lambda, at::ScalarType dtype, std::string_view what) const {
    const std::int64_t target = made.member * receiver_.features();
    if (!layer.by_head) {
      const detail::ridge_solution found =
          detail::ridge_solved(moments, columns_of(*made.group, layer, 0, source_.features()),
                               {target, receiver_.features()}, tokens_, lambda, what);
      return {found.weight.to(dtype).unsqueeze(0), found.bias.to(dtype).unsqueeze(0)};
    }
    std::vector<at::Tensor> weights;
    std::vector<at::Tensor> biases;
    for (std::int64_t head = 0; head < receiver_.kv_heads; ++head) {
      const std::int64_t from = head * source_.kv_heads / receiver_.kv_heads * source_.head_dim;
      const detail::ridge_solution found =
          detail::ridge_solved(moments, columns_of(*made.group, layer, from, source_.head_dim),
                               {target + head * receiver_.head_dim, receiver_.head_dim}, tokens_, lambda, what);
      weights.push_back(found.weight);
      biases.push_back(found.bias);
    }
    return {detail::stacked(weights, 0).to(dtype), detail::stacked(biases, 0).to(dtype)};
  }

  key_rotation rotation_;
  head_shape source_;
  head_shape receiver_;
  std::vector<std::vector<std::int64_t>> source_layers_;
  std::int64_t source_slots_;
  std::vector<layer_group> groups_;
  std::int64_t tokens_ = 0;
};

}  // namespace kvtransfer
