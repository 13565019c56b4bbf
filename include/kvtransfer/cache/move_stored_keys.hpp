#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/materialize.hpp"
#include "kvtransfer/cache/row_blocks.hpp"
#include "kvtransfer/cache/row_positions.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/turn_rows.hpp"
#include "kvtransfer/tensor/lower.hpp"

namespace kvtransfer {

namespace detail {

/// One rotary operation on some rows of the storages of several layers.
struct planned_row_turn {
  std::vector<at::Tensor> storages;  ///< `[rows, kv_heads, slots, head_dim]`, only the heads and slots meant
  std::vector<std::int64_t> rows;
  rope::turning turning;
};

/// The turns of layers that share both frames and are alike in all else that matters.
inline std::vector<planned_row_turn> planned_row_turns(const std::vector<layouts::lowered>& keys, const layer_group& group,
                                                       const layer_frame& written, const layer_frame& wanted,
                                                       const rope::options& options) {
  const layouts::lowered& first = keys[static_cast<std::size_t>(group.front())];
  const std::int64_t row_slots = first.rows.size(2);
  const row_positions from = lower_positions(written.positions, *first.slots, row_slots, "move");
  const row_positions to = lower_positions(wanted.positions, *first.slots, row_slots, "move");
  std::vector<planned_row_turn> turns;
  for (const row_block& block : row_blocks(from.positions, to.positions)) {
    const move_block slots{std::nullopt, block.head, block.begin, block.end, block.from, block.to, block.delta};
    rope::turning turning =
        turning_of(slots, {from.positions.select_batch(block.rows), written.regimes},
                   {to.positions.select_batch(block.rows), wanted.regimes}, options, first.rows.device());
    if (!turning.from.defined() && !turning.to.defined() && turning.delta == 0) {
      continue;
    }
    planned_row_turn& turn = turns.emplace_back(planned_row_turn{{}, {}, std::move(turning)});
    for (const std::int64_t layer : group) {
      turn.storages.push_back(restricted(keys[static_cast<std::size_t>(layer)].rows, slots, 0));
    }
    for (const std::int64_t row : block.rows) {
      turn.rows.push_back(from.rows[static_cast<std::size_t>(row)]);
    }
  }
  return turns;
}

}  // namespace detail

/// Moves keys in place, where a layout's table says they lie, from the frame they are `written` in to the one they are `wanted` in,
/// one rotation each. Nothing is gathered, and no slot that the table does not name, nor padding, is touched. An error leaves all
/// keys as they were.
/// @param keys per layer, all with one and the same table
/// @throws frame_error where batch rows share keys and would move them differently; shape_error, device_error, value_error as the
///         rotary operations do
inline void move_stored_keys(const std::vector<layouts::lowered>& keys, const cache_frame& written, const cache_frame& wanted,
                             const rope::options& options = {}) {
  require<value_error>(!options.norm_weight.defined() || keys.size() == 1, "move", "options.norm_weight",
                       "a cache of one layer (each layer has a weight of its own)", "several layers");
  std::vector<at::Tensor> storages;
  for (const layouts::lowered& layer : keys) {
    storages.push_back(layer.rows);
  }
  std::vector<detail::planned_row_turn> turns;
  for (const detail::layer_group& group : detail::groups_of_layers(written, wanted, storages)) {
    const layer_frame& from = written.layer(group.front());
    const layer_frame& to = wanted.layer(group.front());
    for (detail::planned_row_turn& turn : detail::planned_row_turns(keys, group, from, to, options)) {
      rope::require_rows_turnable(turn.storages, turn.rows, turn.turning, options, "move");
      turns.push_back(std::move(turn));
    }
  }
  for (const detail::planned_row_turn& turn : turns) {
    rope::turn_rows_(turn.storages, turn.rows, turn.turning, options, "move");
  }
}

}  // namespace kvtransfer
