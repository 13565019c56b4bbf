#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/move_blocks.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"

namespace kvtransfer {

namespace detail {

/// `positions` `[streams, batch, heads or 1, seq]` or keys `[batch, kv_heads, seq, head_dim]` restricted to a block.
inline at::Tensor restricted(at::Tensor tensor, const move_block& block, std::int64_t batch_axis) {
  if (block.batch) {
    tensor = tensor.narrow(batch_axis, *block.batch, 1);
  }
  if (block.head && tensor.size(batch_axis + 1) > 1) {
    tensor = tensor.narrow(batch_axis + 1, *block.head, 1);
  }
  const bool whole = block.begin == 0 && block.end == tensor.size(batch_axis + 2);
  return whole ? tensor : tensor.slice(batch_axis + 2, block.begin, block.end);
}

inline const rotary_specification& regime_of(const layer_frame& layer, slot_state state) {
  static const rotary_specification none;
  return state.is_rotated() ? layer.regimes.at(static_cast<std::size_t>(state.regime())) : none;
}

/// The rotary operation that takes keys from one specification and position to others; one that does not rotate where
/// they stay as they are.
/// @param delta tokens that every key moves, where they move equally far
/// @param written gives where the keys stand; called only where that matters, as `wanted`
template <class Written, class Wanted>
rope::rotation rotation_between(const rotary_specification& from, const rotary_specification& to,
                              std::optional<std::int64_t> delta, const rope::options& options, Written&& written,
                              Wanted&& wanted) {
  rope::rotation rotation;
  if (from == to && delta == 0) {
    return rotation;
  }
  rotation.from_specification = from;
  rotation.to_specification = to;
  if (from == to && delta && options.angles == rope::angle_mode::exact) {
    rotation.delta = *delta;
    return rotation;
  }
  if (from.rotates()) {
    rotation.from = written();
  }
  if (to.rotates()) {
    rotation.to = wanted();
  }
  return rotation;
}

inline bool moves_keys(const rope::rotation& rotation) {
  return rotation.from.defined() || rotation.to.defined() || rotation.delta != 0;
}

/// The rotary operation of one block.
inline rope::rotation rotation_of(const move_block& block, const layer_frame& written, const layer_frame& wanted,
                                const rope::options& options, at::Device device) {
  const auto positions_in = [&](const layer_frame& layer) {
    return restricted(position_tensor(layer.positions, device), block, 1);
  };
  return rotation_between(
      regime_of(written, block.from), regime_of(wanted, block.to), block.delta, options,
      [&] { return positions_in(written); }, [&] { return positions_in(wanted); });
}

/// Layers that share both frames and are alike in all else that matters, and so move in one call.
using layer_group = std::vector<std::int64_t>;

inline bool are_alike(const at::Tensor& a, const at::Tensor& b) {
  return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() && a.device() == b.device() &&
         a.requires_grad() == b.requires_grad();
}

inline std::vector<layer_group> groups_of_layers(const cache_frame& written, const cache_frame& wanted,
                                                 const std::vector<at::Tensor>& keys) {
  std::vector<layer_group> groups;
  for (std::int64_t i = 0; i < written.layers(); ++i) {
    const auto joined = std::find_if(groups.begin(), groups.end(), [&](const layer_group& group) {
      const std::int64_t first = group.front();
      return written.shared(first) == written.shared(i) && wanted.shared(first) == wanted.shared(i) &&
             are_alike(keys[static_cast<std::size_t>(first)], keys[static_cast<std::size_t>(i)]);
    });
    if (joined == groups.end()) {
      groups.push_back({i});
    } else {
      joined->push_back(i);
    }
  }
  return groups;
}

/// One rotary operation: which layers, which of their slots, how far.
struct planned_rotation {
  layer_group layers;
  move_block block;
  rope::rotation rotation;
};

inline std::vector<planned_rotation> planned_rotations(const std::vector<at::Tensor>& keys, const cache_frame& written,
                                               const cache_frame& wanted, const rope::options& options) {
  std::vector<planned_rotation> rotations;
  for (const layer_group& group : groups_of_layers(written, wanted, keys)) {
    const layer_frame& from = written.layer(group.front());
    const layer_frame& to = wanted.layer(group.front());
    const at::Device device = keys[static_cast<std::size_t>(group.front())].device();
    for (const move_block& block : move_blocks(from.positions, to.positions)) {
      rope::rotation rotation = rotation_of(block, from, to, options, device);
      if (moves_keys(rotation)) {
        rotations.push_back({group, block, std::move(rotation)});
      }
    }
  }
  return rotations;
}

/// The keys that a rotation is about, sharing storage with the whole tensors.
inline std::vector<at::Tensor> keys_of(const planned_rotation& rotation, const std::vector<at::Tensor>& keys) {
  std::vector<at::Tensor> parts;
  for (const std::int64_t layer : rotation.layers) {
    parts.push_back(restricted(keys[static_cast<std::size_t>(layer)], rotation.block, 0));
  }
  return parts;
}

/// `keys` with one block replaced by `moved`, as a new tensor.
inline at::Tensor with_block(const at::Tensor& keys, const move_block& block, const at::Tensor& moved) {
  if (!block.batch) {
    return at::cat({keys.slice(2, 0, block.begin), moved, keys.slice(2, block.end)}, 2);
  }
  at::Tensor copy = keys.clone();
  restricted(copy, block, 0).copy_(moved);
  return copy;
}

/// Replaces the layers' tensors by ones in which the rotation is made.
inline void rotate_copies(std::vector<at::Tensor>& keys, const planned_rotation& rotation, const rope::options& options) {
  const std::vector<at::Tensor> moved = rope::rotate_keys(keys_of(rotation, keys), rotation.rotation, options, "materialize");
  for (std::size_t i = 0; i < moved.size(); ++i) {
    at::Tensor& whole = keys[static_cast<std::size_t>(rotation.layers[i])];
    whole = with_block(whole, rotation.block, moved[i]);
  }
}

}  // namespace detail

/// Moves keys from the frame they are `written` in to the one they are `wanted` in, one rotation each: in place, or,
/// for tensors that autograd tracks, by putting moved ones in their stead. An error leaves all keys as they were.
/// @param keys per layer `[batch, kv_heads, seq or more, head_dim]`; slots past the frame are spare and stay as they
/// are
/// @throws frame_error, shape_error, device_error, value_error as the rotary operations do
inline void move_keys(std::vector<at::Tensor>& keys, const cache_frame& written, const cache_frame& wanted,
                      const rope::options& options = {}) {
  if (static_cast<std::int64_t>(keys.size()) != written.layers() || written.layers() != wanted.layers()) {
    fail<shape_error>("materialize", "layers", fmt::format("{} keys in one frame and the other", keys.size()),
                      fmt::format("{} written, {} wanted", written.layers(), wanted.layers()));
  }
  require<value_error>(!options.norm_weight.defined() || keys.size() == 1, "materialize", "options.norm_weight",
                       "a cache of one layer (each layer has a weight of its own)", "several layers");
  std::vector<at::Tensor> moved = keys;
  std::vector<detail::planned_rotation> in_place;
  std::vector<rope::checked_rotation> checked;
  for (detail::planned_rotation& rotation : detail::planned_rotations(keys, written, wanted, options)) {
    if (keys[static_cast<std::size_t>(rotation.layers.front())].requires_grad()) {
      detail::rotate_copies(moved, rotation, options);
    } else {
      checked.push_back(
          rope::require_rotatable(detail::keys_of(rotation, keys), rotation.rotation, options, "materialize"));
      in_place.push_back(std::move(rotation));
    }
  }
  for (std::size_t i = 0; i < in_place.size(); ++i) {
    rope::rotate_checked_keys_(detail::keys_of(in_place[i], keys), checked[i]);
  }
  keys = std::move(moved);
}

}  // namespace kvtransfer
