#pragma once

#include <ATen/core/Tensor.h>

#include <concepts>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/project/key_rotation.hpp"

namespace kvtransfer {

/// What becomes of the receiver's own keys and values where a projector writes.
enum class projection_effect : std::uint8_t {
  replaces,  ///< what is projected stands in their place; a receiver need not have any
  adds       ///< what is projected is added to them, and the projector may read them
};

/// Keys and values of one layer, both `[batch, kv_heads, seq, head_dim]`; undefined where there are none.
struct layer_kv {
  at::Tensor keys;    ///< rotated or not, as the projector asks for them
  at::Tensor values;  ///< as a cache holds them
};

/// What a projector reads for one layer of the receiver: slot i of every tensor belongs to one token.
struct projection_input {
  std::vector<layer_kv> source;                                   ///< of the layers that the projector names, in order
  std::vector<std::shared_ptr<const layer_frame>> source_frames;  ///< where those keys stand in the source
  layer_kv receiver;                                              ///< its own; undefined where it has none
  std::shared_ptr<const layer_frame> receiver_frame;              ///< where the result shall stand
};

/// A map from one model's keys and values to those of another, layer by layer of the receiver.
///
/// `source_layers(layer)` names what is read for a layer of the receiver; none: that layer is left as it is.
/// `project(layer, input)` gives keys and values of the receiver's shape, or what is to be added to its own: see
/// `effect`. Keys come and go rotated or un-rotated, as `rotation` says. `digest` tells projectors of other numbers
/// apart; the cache that comes of a projection carries it.
template <class T>
concept Projector = std::copyable<T> && requires(const T projector, const projection_input& input, std::int64_t layer) {
  { T::name } -> std::convertible_to<std::string_view>;
  { projector.effect() } -> std::same_as<projection_effect>;
  { projector.rotation() } -> std::same_as<key_rotation>;
  { projector.layers() } -> std::same_as<std::int64_t>;
  { projector.source_layers(layer) } -> std::same_as<std::vector<std::int64_t>>;
  { projector.project(layer, input) } -> std::same_as<layer_kv>;
  { projector.digest() } -> std::same_as<std::string>;
};

}  // namespace kvtransfer
