#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/materialize.hpp"
#include "kvtransfer/cache/detail/move_blocks.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/quantized/rotate_quantized_keys.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"
#include "kvtransfer/tensor/quantized/slice.hpp"
#include "kvtransfer/tensor/quantized/split_groups.hpp"

namespace kvtransfer {

namespace detail {

inline bool has_padding(const position_map& positions) {
  return std::ranges::any_of(positions.rows(), [](const position_row& row) { return row.visible() != row.size(); });
}

/// Which slots hold a key, bool `[batch, kv_heads or 1, seq]`; undefined where all do.
inline at::Tensor held_slots(const position_map& positions, at::Device device) {
  return has_padding(positions) ? visibility_tensor(positions, device) : at::Tensor();
}

/// The keys of a block, sharing storage with the whole. Groups have to begin and end where the block does.
inline quantized_tensor restricted(const quantized_tensor& keys, const move_block& block) {
  return slice(keys, block.begin, block.end).transform([&](at::Tensor tensor) {
    tensor = block.batch ? tensor.narrow(0, *block.batch, 1) : tensor;
    return block.head ? tensor.narrow(1, *block.head, 1) : tensor;
  });
}

/// `held` of the slots of a block.
inline at::Tensor held_in_block(const at::Tensor& held, const move_block& block) {
  return held.defined() ? restricted(held.unsqueeze(-1), block, 0).squeeze(-1) : held;
}

/// A planned rotation of layers that are alike in all that matters.
struct planned_quantized_rotation {
  std::vector<quantized_tensor> keys;  ///< one a layer, sharing storage with the whole
  at::Tensor held;
  rope::rotation rotation;
};

/// The layers of one rotation, those together that were quantized alike.
inline std::vector<layer_group> alike_layers(const layer_group& layers, const std::vector<quantized_tensor>& keys) {
  std::vector<layer_group> groups;
  for (const std::int64_t layer : layers) {
    const auto joined = std::ranges::find_if(groups, [&](const layer_group& group) {
      return are_alike(keys[static_cast<std::size_t>(group.front())], keys[static_cast<std::size_t>(layer)]);
    });
    if (joined == groups.end()) {
      groups.push_back({layer});
    } else {
      joined->push_back(layer);
    }
  }
  return groups;
}

/// The rotations of all layers. Groups that a block's end cuts are split first, so that keys which stay keep their codes
/// and scales.
/// @param keys a group that is cut is replaced, scales and all; codes stay where they are
inline std::vector<planned_quantized_rotation> planned_quantized_rotations(std::vector<quantized_tensor>& keys,
                                                                   const cache_frame& written,
                                                                   const cache_frame& wanted,
                                                                   const rope::options& options) {
  std::vector<at::Tensor> codes;
  for (const quantized_tensor& layer : keys) {
    codes.push_back(layer.codes);
  }
  std::vector<planned_rotation> rotations = planned_rotations(codes, written, wanted, options);
  std::erase_if(
      rotations, [](const planned_rotation& rotation) { return !rotation.rotation.geometry().rotates(); });  // of keys without rotation
  for (const planned_rotation& rotation : rotations) {
    for (const std::int64_t layer : rotation.layers) {
      quantized_tensor& whole = keys[static_cast<std::size_t>(layer)];
      whole = split_groups_at(split_groups_at(whole, rotation.block.begin), rotation.block.end);
      whole.carried_error = whole.carried_error.defined() ? whole.carried_error : at::zeros_like(whole.scales);
    }
  }
  std::vector<planned_quantized_rotation> planned;
  for (const planned_rotation& rotation : rotations) {
    for (const layer_group& alike : alike_layers(rotation.layers, keys)) {
      const at::Device device = keys[static_cast<std::size_t>(alike.front())].device();
      const at::Tensor held = held_slots(written.layer(alike.front()).positions, device);
      planned_quantized_rotation& added =
          planned.emplace_back(planned_quantized_rotation{{}, held_in_block(held, rotation.block), rotation.rotation});
      for (const std::int64_t layer : alike) {
        added.keys.push_back(restricted(keys[static_cast<std::size_t>(layer)], rotation.block));
      }
    }
  }
  return planned;
}

}  // namespace detail

/// Moves quantized keys in place from the frame they are `written` in to the one they are `wanted` in, one rotation and
/// one quantization each; `error_bound` says what that costs. Keys that stay where they are keep their codes. An error
/// leaves all keys as they were.
/// @param keys one per layer, as many slots as its frame has
/// @throws frame_error, shape_error, device_error, value_error as the rotary operations do
inline void move_quantized_keys(std::vector<quantized_tensor>& keys, const cache_frame& written,
                                const cache_frame& wanted, const rope::options& options = {}) {
  require<value_error>(!options.norm_weight.defined() || keys.size() == 1, "materialize", "options.norm_weight",
                       "a cache of one layer (each layer has a weight of its own)", "several layers");
  std::vector<quantized_tensor> moved = keys;
  std::vector<detail::planned_quantized_rotation> rotations = detail::planned_quantized_rotations(moved, written, wanted, options);
  std::vector<rope::checked_rotation> checked;
  for (const detail::planned_quantized_rotation& rotation : rotations) {
    checked.push_back(rope::require_quantized_rotatable(rotation.keys, rotation.rotation, options, "materialize"));
  }
  for (std::size_t i = 0; i < rotations.size(); ++i) {
    rope::rotate_checked_quantized_keys_(rotations[i].keys, checked[i], rotations[i].held, "materialize");
  }
  keys = std::move(moved);
}

}  // namespace kvtransfer
