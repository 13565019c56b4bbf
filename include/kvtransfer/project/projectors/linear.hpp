#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/project/concepts.hpp"
#include "kvtransfer/project/detail/digest.hpp"
#include "kvtransfer/project/detail/slot_window.hpp"
#include "kvtransfer/project/head_shape.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer {

/// An affine map of one layer's keys or values.
///
/// Of whole layers it maps all heads of the source layers, head after head, slot after slot and layer after layer, to
/// all heads of the receiver. By head, head h of the receiver's Ht is made of head h·Hs / Ht alone, rounded down, of
/// each source layer.
struct linear_map {
  at::Tensor weight;  ///< `[1, k·source features, receiver features]` or `[kv_heads, k·source head_dim, head_dim]`, k
                      ///< source layers times source slots
  at::Tensor bias;    ///< `[1, receiver features]` or `[kv_heads, head_dim]`
};

/// The maps of one layer of the receiver.
struct linear_layer {
  std::vector<std::int64_t> source_layers;  ///< k of them; none: the layer is left as it is
  linear_map keys;                          ///< from the source's keys
  linear_map values;                        ///< from the source's values
  bool by_head = false;                     ///< whether each head of the receiver has a map of its own
  std::int64_t source_slots = 1;            ///< of each source layer: the token's own, and those before it

  /// Slots that are read for one token, of all source layers together.
  [[nodiscard]] std::int64_t slots_read() const {
    return static_cast<std::int64_t>(source_layers.size()) * source_slots;
  }
};

namespace projectors {

/// Keys from keys and values from values, each by an affine map: least squares with a penalty (`ridge_moments::fit`)
/// gives one.
class linear {
 public:
  static constexpr std::string_view name = "linear";  ///< as in files and edits

  /// @param layers one per layer of the receiver
  /// @throws shape_error, naming layer and tensor, where a weight is not of the shape that `linear_map` says
  linear(key_rotation rotation, head_shape source, head_shape receiver, std::vector<linear_layer> layers)
      : rotation_(rotation), source_(source), receiver_(receiver), layers_(std::move(layers)) {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      check(layers_[i], fmt::format("layers.{}", i));
    }
    detail::projector_digest digest;
    digest.add(to_string(rotation));
    for (const linear_layer& each : layers_) {
      digest.add(fmt::format("{} of {} in {}", each.by_head ? "heads" : "layers", fmt::join(each.source_layers, ","),
                             each.source_slots));
    }
    for_each_tensor([&](const std::string& tensor_name, const at::Tensor& tensor) { digest.add(tensor_name, tensor); });
    digest_ = digest.text();
  }

  /// What `Projector` asks for.
  /// @{
  [[nodiscard]] projection_effect effect() const { return projection_effect::replaces; }
  [[nodiscard]] key_rotation rotation() const { return rotation_; }
  [[nodiscard]] std::int64_t layers() const { return static_cast<std::int64_t>(layers_.size()); }
  [[nodiscard]] std::vector<std::int64_t> source_layers(std::int64_t layer) const { return at(layer).source_layers; }
  [[nodiscard]] std::string digest() const { return digest_; }
  /// @throws shape_error for a source of another shape
  [[nodiscard]] layer_kv project(std::int64_t layer, const projection_input& input) const {
    const linear_layer& maps = at(layer);
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (const layer_kv& each :
         detail::windows_of(input, source_, maps.source_layers, maps.source_slots, "projectors::linear")) {
      keys.push_back(each.keys);
      values.push_back(each.values);
    }
    return {apply(maps.keys, maps.by_head, keys), apply(maps.values, maps.by_head, values)};
  }
  /// @}

  /// Of every layer that is read.
  [[nodiscard]] const head_shape& source() const { return source_; }
  /// Of every layer that is written.
  [[nodiscard]] const head_shape& receiver() const { return receiver_; }
  /// The maps, layer by layer of the receiver.
  [[nodiscard]] const std::vector<linear_layer>& maps() const { return layers_; }

  /// Calls `visit(name, tensor)` for `layers.0.keys.weight` and so on.
  template <class Visit>
  void for_each_tensor(Visit&& visit) const {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (!layers_[i].source_layers.empty()) {
        visit(fmt::format("layers.{}.keys.weight", i), layers_[i].keys.weight);
        visit(fmt::format("layers.{}.keys.bias", i), layers_[i].keys.bias);
        visit(fmt::format("layers.{}.values.weight", i), layers_[i].values.weight);
        visit(fmt::format("layers.{}.values.bias", i), layers_[i].values.bias);
      }
    }
  }

 private:
  [[nodiscard]] const linear_layer& at(std::int64_t layer) const {
    require_index<shape_error>(layer, layers(), "projectors::linear", "layer");
    return layers_[static_cast<std::size_t>(layer)];
  }

  void check(const linear_layer& maps, std::string_view where) const {
    if (maps.source_layers.empty()) {
      return;
    }
    require<value_error>(maps.source_slots > 0, where, "source_slots", "1 or more", formatted("{}", maps.source_slots));
    const std::int64_t k = maps.slots_read();
    for (const auto& [half, map] : {std::pair<std::string_view, const linear_map&>{"keys", maps.keys},
                                    std::pair<std::string_view, const linear_map&>{"values", maps.values}}) {
      const std::int64_t groups = maps.by_head ? receiver_.kv_heads : 1;
      const std::int64_t in = k * (maps.by_head ? source_.head_dim : source_.features());
      const std::int64_t out = maps.by_head ? receiver_.head_dim : receiver_.features();
      detail::require_sizes(map.weight, {groups, in, out}, where, fmt::format("{}.weight", half));
      detail::require_sizes(map.bias, {groups, out}, where, fmt::format("{}.bias", half));
    }
  }

  /// @param tensors one per source layer and slot of its window, `[batch, kv_heads, seq, head_dim]`
  [[nodiscard]] at::Tensor apply(const linear_map& map, bool by_head, const std::vector<at::Tensor>& tensors) const {
    const at::ScalarType dtype = map.weight.scalar_type();
    if (!by_head) {
      std::vector<at::Tensor> flat;
      for (const at::Tensor& tensor : tensors) {
        flat.push_back(detail::flat_heads(tensor.to(dtype)));
      }
      const at::Tensor mapped = detail::joined(flat, -1).matmul(map.weight.select(0, 0)).add(map.bias.select(0, 0));
      return detail::split_heads(mapped, receiver_);
    }
    std::vector<at::Tensor> heads;
    for (std::int64_t head = 0; head < receiver_.kv_heads; ++head) {
      std::vector<at::Tensor> parts;
      for (const at::Tensor& tensor : tensors) {
        parts.push_back(tensor.select(1, head * source_.kv_heads / receiver_.kv_heads).to(dtype));
      }
      heads.push_back(detail::joined(parts, -1));
    }
    return detail::stacked(heads, 1).matmul(map.weight).add(map.bias.unsqueeze(1));
  }

  key_rotation rotation_;
  head_shape source_;
  head_shape receiver_;
  std::vector<linear_layer> layers_;
  std::string digest_;
};

static_assert(Projector<linear>);

}  // namespace projectors
}  // namespace kvtransfer
