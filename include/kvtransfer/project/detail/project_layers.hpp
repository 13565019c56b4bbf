#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/project/concepts.hpp"
#include "kvtransfer/project/detail/rotated_keys.hpp"
#include "kvtransfer/tensor/checks.hpp"

namespace kvtransfer::detail {

/// The layers of a source as a projector reads them; each is un-rotated once, however many layers of the receiver it
/// goes into.
class source_layers_read {
 public:
  source_layers_read(const cache_view<>& source, key_rotation rotation) : source_(&source), rotation_(rotation) {}

  /// @throws shape_error where there is no such layer
  [[nodiscard]] const layer_kv& at(std::int64_t index, std::string_view where) {
    require_index<shape_error>(index, source_->layers(), where, "source layer");
    const auto found = read_.find(index);
    if (found != read_.end()) {
      return found->second;
    }
    const layer_view<>& layer = source_->layer(index);
    return read_[index] = {keys_read(layer.keys(), layer.shared_frame(), rotation_), layer.values()};
  }

 private:
  const cache_view<>* source_;
  key_rotation rotation_;
  std::map<std::int64_t, layer_kv> read_;
};

/// @throws frame_error unless keys of `source` can be read for slots of `receiver`: keys where there are keys, and for
/// rotated ones at the same positions
inline void require_same_keys(const layer_frame& source, const layer_frame& receiver, key_rotation rotation,
                              std::string_view layer) {
  const position_map& from = source.positions;
  const position_map& to = receiver.positions;
  if (from.size() != to.size() || from.batch() != to.batch()) {
    fail<shape_error>("project", layer, fmt::format("[batch={}, seq={}], as the receiver", to.batch(), to.size()),
                      fmt::format("[batch={}, seq={}]", from.batch(), from.size()));
  }
  require<frame_error>(from.has_keys_of(to), "project", layer, "keys in the slots where the receiver has keys",
                       "padding in others, or several position streams");
  const auto plain = [](const layer_frame& frame) {
    return frame.with_states([](slot_state state) { return state.is_padding() ? state : slot_state::unrotated(); })
        .positions;
  };
  const bool at_same_positions = rotation == key_rotation::unrotated || plain(source) == plain(receiver);
  require<frame_error>(at_same_positions, "project", layer,
                       "keys rotated to the receiver's positions (or a projector of un-rotated keys)",
                       "keys at other positions");
}

/// Keys and values that a projector gave for one layer, as a cache holds them: added to the receiver's where it says
/// so.
/// @param own of the receiver, as its cache holds them; undefined where it has none
[[nodiscard]] inline layer_kv finished(const layer_kv& given, const layer_kv& own,
                                       const cache_frame::shared_layer& frame, key_rotation rotation,
                                       projection_effect effect, std::string_view layer) {
  require<shape_error>(
      given.keys.defined() && given.keys.dim() == 4 && given.values.defined() && given.values.dim() == 4 &&
          (!own.keys.defined() ||
           (given.keys.sizes() == own.keys.sizes() && given.values.sizes() == own.values.sizes())),
      "project", formatted("{}: what the projector gave", layer),
      [&] { return own.keys.defined() ? describe(own.keys) : std::string("[batch, kv_heads, seq, head_dim]"); },
      [&] { return given.keys.defined() ? describe(given.keys) : std::string("nothing"); });
  layer_kv result{keys_written(given.keys, frame, rotation), given.values};
  if (effect == projection_effect::adds) {
    result = {own.keys.add(result.keys), own.values.add(result.values)};
  }
  if (own.keys.defined()) {
    result = {result.keys.to(own.keys.scalar_type()), result.values.to(own.values.scalar_type())};
  }
  return result;
}

/// Every layer of the receiver that the projector writes.
/// @param receiver its cache of the same slots; null where it has none
/// @return one per layer of `frame`; nothing where the layer is left as it is
template <Projector P>
[[nodiscard]] std::vector<std::optional<layer_kv>> projected_layers(const P& projector, const cache_view<>& source,
                                                                    const cache_frame& frame,
                                                                    const cache_view<>* receiver) {
  require_count<shape_error>(projector.layers(), frame.layers(), "project", "layers",
                             "a projector for the receiver's {} layers");
  require<value_error>(receiver != nullptr || projector.effect() == projection_effect::replaces, "project", "receiver",
                       formatted("a cache that {} adds to", std::string_view(P::name)), "a frame alone");
  source_layers_read read(source, projector.rotation());
  std::vector<std::optional<layer_kv>> projected;
  for (std::int64_t i = 0; i < frame.layers(); ++i) {
    const std::vector<std::int64_t> layers = projector.source_layers(i);
    projected.emplace_back();
    if (layers.empty()) {
      continue;
    }
    projection_input input{{}, {}, {}, frame.shared(i)};
    layer_kv own;
    for (const std::int64_t index : layers) {
      input.source.push_back(read.at(index, "project"));
      input.source_frames.push_back(source.layer(index).shared_frame());
      require_same_keys(*input.source_frames.back(), *input.receiver_frame, projector.rotation(),
                        fmt::format("source layer {}", index));
    }
    if (receiver != nullptr) {
      const layer_view<>& layer = receiver->layer(i);
      own = {layer.keys(), layer.values()};
      input.receiver = {keys_read(own.keys, layer.shared_frame(), projector.rotation()), own.values};
    }
    projected.back() = finished(projector.project(i, input), own, input.receiver_frame, projector.rotation(),
                                projector.effect(), fmt::format("layer {}", i));
  }
  return projected;
}

/// `frame` with what was done to it: the projection, after the edits of what it was made from.
/// @param slots of the receiver; empty: all
template <Projector P>
[[nodiscard]] cache_frame projected_frame(cache_frame frame, const P& projector, const cache_frame& source,
                                          std::vector<std::int64_t> layers, const std::vector<slot_range>& slots) {
  for (cache_edit edit : source.edits()) {  // whose layers, heads and slots are the source's
    edit.layers = layers;
    edit.heads.clear();
    edit.slots = slots;
    frame.add_edit(std::move(edit));
  }
  if (source.assumed()) {
    frame.set_assumed();
  }
  frame.add_edit({edit_kind::projected,
                  cache_half::both,
                  std::move(layers),
                  {},
                  slots,
                  fmt::format("{} {} of {}", std::string_view(P::name), projector.digest(), origin_text(source))});
  return frame;
}

}  // namespace kvtransfer::detail
