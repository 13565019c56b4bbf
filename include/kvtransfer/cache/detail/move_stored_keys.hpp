#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/materialize.hpp"
#include "kvtransfer/cache/detail/row_blocks.hpp"
#include "kvtransfer/cache/detail/row_positions.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotate_blocks.hpp"
#include "kvtransfer/tensor/lower.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"
#include "kvtransfer/tensor/upload.hpp"

namespace kvtransfer {

namespace detail {

/// Where the keys of a layer stand and shall stand, and in which places they lie, each key once.
struct stored_move {
  position_map written;
  position_map wanted;
  std::vector<layouts::slot_span> spans;
};

/// @throws frame_error where batch rows share a key and would move it differently
inline stored_move stored_move_of(const layouts::lowered& keys, const position_map& written,
                                  const position_map& wanted) {
  if (!keys.slots->shares_places()) {
    return {written, wanted, keys.slots->spans()};
  }
  row_positions from = lower_positions(written, *keys.slots, keys.rows.size(2), "move");
  row_positions to = lower_positions(wanted, *keys.slots, keys.rows.size(2), "move");
  return {std::move(from.positions), std::move(to.positions), std::move(from.spans)};
}

/// The positions in `map` of the slots that `block` names: int64 `[streams, rows, heads, slots]` on `device`.
inline at::Tensor positions_of(const row_block& block, const position_map& map, at::Device device) {
  const std::int64_t slots = block.end - block.begin;
  const std::int64_t first_head = block.head && map.heads() > 1 ? *block.head : 0;
  const std::int64_t heads = block.head ? 1 : map.heads();
  const auto rows = static_cast<std::int64_t>(block.rows.size());
  const at::Tensor positions = upload_buffer({map.streams(), rows, heads, slots}, at::kLong, device);
  std::int64_t* const out = positions.mutable_data_ptr<std::int64_t>();
  for (std::int64_t stream = 0; stream < map.streams(); ++stream) {
    for (std::int64_t head = 0; head < heads; ++head) {
      std::int64_t place = 0;  // of the slots of this head in all rows
      for (const row_piece& piece : block.pieces) {
        position_reader reader(map.row(stream, piece.batch, first_head + head));
        for (std::int64_t read = 0; read < piece.count;) {
          const std::int64_t in_row = place % slots;
          const std::int64_t count = heads == 1 ? piece.count : std::min(piece.count - read, slots - in_row);
          reader.read(piece.begin + read, count,
                      out + ((stream * rows + place / slots) * heads + head) * slots + in_row);
          read += count;
          place += count;
        }
      }
    }
  }
  return uploaded(positions, device);
}

/// The slots and heads that `block` names, in every row of a storage.
inline at::Tensor slots_of(const row_block& block, const at::Tensor& storage) {
  const bool whole = block.begin == 0 && block.end == storage.size(2);  // the usual case costs a tensor a layer less
  const at::Tensor slots = whole ? storage : storage.slice(2, block.begin, block.end);
  return block.head ? slots.narrow(1, *block.head, 1) : slots;
}

/// One rotary operation on some rows of the storages of several layers.
struct planned_row_rotation {
  std::vector<at::Tensor> storages;  ///< `[rows, kv_heads, slots, head_dim]`, only the heads and slots meant
  std::vector<std::int64_t> rows;
  rope::rotation rotation;
};

/// The rotations of layers that share both frames and are alike in all else that matters.
inline std::vector<planned_row_rotation> planned_row_rotations(const std::vector<layouts::lowered>& keys,
                                                       const layer_group& group, const layer_frame& written,
                                                       const layer_frame& wanted, const rope::options& options) {
  const layouts::lowered& first = keys[static_cast<std::size_t>(group.front())];
  const stored_move move = stored_move_of(first, written.positions, wanted.positions);
  const at::Device device = first.rows.device();
  std::vector<planned_row_rotation> rotations;
  for (const row_block& block : row_blocks(move.written, move.wanted, move.spans)) {
    rope::rotation rotation = rotation_between(
        regime_of(written, block.from), regime_of(wanted, block.to), block.delta, options,
        [&] { return positions_of(block, move.written, device); },
        [&] { return positions_of(block, move.wanted, device); });
    if (!moves_keys(rotation)) {
      continue;
    }
    planned_row_rotation& planned = rotations.emplace_back(planned_row_rotation{{}, {}, std::move(rotation)});
    for (const std::int64_t layer : group) {
      planned.storages.push_back(slots_of(block, keys[static_cast<std::size_t>(layer)].rows));
    }
    planned.rows = block.rows;
  }
  return rotations;
}

}  // namespace detail

/// Moves keys in place, where a layout's table says they lie, from the frame they are `written` in to the one they are
/// `wanted` in, one rotation each. Nothing is gathered, and no slot that the table does not name, nor padding, is
/// touched. An error leaves all keys as they were.
/// @param keys per layer, all with one and the same table
/// @throws frame_error where batch rows share keys and would move them differently; shape_error, device_error,
///         value_error as the rotary operations do
inline void move_stored_keys(const std::vector<layouts::lowered>& keys, const cache_frame& written,
                             const cache_frame& wanted, const rope::options& options = {}) {
  require<value_error>(!options.norm_weight.defined() || keys.size() == 1, "move", "options.norm_weight",
                       "a cache of one layer (each layer has a weight of its own)", "several layers");
  std::vector<at::Tensor> storages;
  for (const layouts::lowered& layer : keys) {
    storages.push_back(layer.rows);
  }
  std::vector<detail::planned_row_rotation> rotations;
  std::vector<rope::checked_rotation> checked;
  for (const detail::layer_group& group : detail::groups_of_layers(written, wanted, storages)) {
    const layer_frame& from = written.layer(group.front());
    const layer_frame& to = wanted.layer(group.front());
    for (detail::planned_row_rotation& rotation : detail::planned_row_rotations(keys, group, from, to, options)) {
      checked.push_back(
          rope::require_blocks_rotatable(rotation.storages, rotation.rows, rotation.rotation, options, "move"));
      rotations.push_back(std::move(rotation));
    }
  }
  for (std::size_t i = 0; i < rotations.size(); ++i) {
    rope::rotate_checked_blocks_(rotations[i].storages, rotations[i].rows, checked[i]);
  }
}

}  // namespace kvtransfer
