#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/move_keys.hpp"
#include "kvtransfer/cache/detail/shared_memory.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotate_blocks.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"
#include "kvtransfer/tensor/lower.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer::detail {

/// The positions of a layer as the rows of its storage hold them, each place once.
struct row_positions {
  std::vector<layouts::slot_span> spans;  ///< row b of `positions` lies in a block of the storage
  position_map positions;                 ///< `[streams, rows in use, kv_heads or 1, slots]`, padding where no key lies
};

/// The keys of one stream while they are put in their places in the storage.
class stored_keys {
 public:
  stored_keys(std::size_t rows, std::int64_t heads, std::int64_t block_size)
      : block_size_(static_cast<std::size_t>(block_size)),
        heads_(static_cast<std::size_t>(heads)),
        keys_(rows * heads_ * block_size_, position_run{0, 1, 0, slot_state::padding()}) {}

  /// @throws frame_error where another sequence has a key in that place, but not at this position and in this state
  void put(std::size_t row, std::int64_t head, std::int64_t slot, const position_run& key, std::string_view where) {
    position_run& place =
        keys_[(row * heads_ + static_cast<std::size_t>(head)) * block_size_ + static_cast<std::size_t>(slot)];
    require<frame_error>(place.state.is_padding() || key.state.is_padding() || place == key, where, "positions",
                         "sequences to agree on the keys that they share (copy one of the rows first)",
                         formatted("a key at {} in one row and at {} in another", place.first, key.first));
    place = key.state.is_padding() ? place : key;
  }

  /// One row per block of the storage and head, heads side by side.
  void append_to(std::vector<position_row>& rows) const {
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      if (i % block_size_ == 0) {
        rows.emplace_back();
      }
      rows.back().append(keys_[i]);
    }
  }

 private:
  std::size_t block_size_;
  std::size_t heads_;
  std::vector<position_run> keys_;
};

/// Puts the positions of a layer where its slots are stored: keys that sequences share are found to be one.
/// @param block_size slots in a block of the storage
/// @throws frame_error where two slots share a place but not their position and state
inline row_positions stored_positions_of(const position_map& positions, const layouts::slot_table& slots,
                                         std::int64_t block_size, std::string_view where) {
  std::map<std::int64_t, std::int64_t> rows;  // of `positions`, by the block in use that each lies in
  for (const layouts::slot_span& span : slots.spans()) {
    rows.emplace(span.block, 0);
  }
  std::vector<layouts::slot_span> spans;
  for (auto& [block, row] : rows) {
    row = static_cast<std::int64_t>(spans.size());
    spans.push_back({row, 0, block, 0, block_size});
  }
  std::vector<position_row> stored;
  for (std::int64_t stream = 0; stream < positions.streams(); ++stream) {
    stored_keys keys(rows.size(), positions.heads(), block_size);
    for (std::int64_t head = 0; head < positions.heads(); ++head) {
      std::int64_t batch = -1;
      std::vector<position_run> read;
      for (const layouts::slot_span& span : slots.spans()) {
        if (span.batch != batch) {
          batch = span.batch;
          read = positions.row(stream, batch, head).one_run_per_slot();
        }
        const auto row = static_cast<std::size_t>(rows.at(span.block));
        for (std::int64_t i = 0; i < span.count; ++i) {
          keys.put(row, head, span.slot + i, read[static_cast<std::size_t>(span.begin + i)], where);
        }
      }
    }
    keys.append_to(stored);
  }
  const auto count = static_cast<std::int64_t>(rows.size());
  return {std::move(spans),
          count == 0 ? position_map() : position_map(positions.streams(), count, positions.heads(), std::move(stored))};
}

/// Keys in tensors `[rows, kv_heads, slots, head_dim]`, whole or by a table, all layers alike in that. They are moved
/// in place; tensors without a table that autograd tracks are replaced by moved ones.
class key_tensors {
 public:
  using keys_type = at::Tensor;
  using planned = planned_rotation<at::Tensor>;

  explicit key_tensors(std::vector<layouts::storage> layers) : layers_(std::move(layers)) {
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      std::size_t first = 0;
      while (first < layer && !(is_same_memory(layers_[first].blocks, layers_[layer].blocks) &&
                                layers_[first].slots == layers_[layer].slots)) {
        ++first;
      }
      first_of_.push_back(first);
    }
  }

  [[nodiscard]] std::size_t layers() const { return layers_.size(); }
  [[nodiscard]] at::Device device(std::size_t layer) const { return layers_[layer].blocks.device(); }

  [[nodiscard]] bool are_alike(std::size_t first, std::size_t second) const {
    const at::Tensor& a = layers_[first].blocks;
    const at::Tensor& b = layers_[second].blocks;
    return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() && a.device() == b.device() &&
           a.requires_grad() == b.requires_grad();
  }

  /// Layers that share K/V, as Gemma 3n's do, share its memory.
  [[nodiscard]] std::size_t first_with_keys_of(std::size_t layer) const { return first_of_[layer]; }

  /// @throws frame_error where sequences share a key and would move it differently
  [[nodiscard]] placed_positions place(std::size_t layer, const layer_frame& stored, const layer_frame& target,
                                       std::string_view where) const {
    const layouts::storage& keys = layers_[layer];
    if (!keys.slots) {
      return placed_in_rows(stored.positions, target.positions);
    }
    if (!keys.slots->shares_places()) {
      return {stored.positions, target.positions, keys.slots->spans(), padding_moves::never};
    }
    row_positions from = stored_positions_of(stored.positions, *keys.slots, keys.blocks.size(2), where);
    row_positions to = stored_positions_of(target.positions, *keys.slots, keys.blocks.size(2), where);
    return {std::move(from.positions), std::move(to.positions), std::move(from.spans), padding_moves::never};
  }

  void prepare(const planned&) {}

  void check(planned& move, const layer_frame& stored, const rope::options& options, std::string_view where) {
    for (const std::size_t layer : move.layers) {
      move.keys.push_back(slots_of(layers_[layer].blocks, move.block));
    }
    if (move.keys.front().requires_grad() && !layers_[move.layers.front()].slots) {
      return replace(move, options, where);
    }
    const bool narrow = c10::isFloat8Type(move.keys.front().scalar_type());  // padding may outgrow them, keys may not
    const bool padded = narrow && !layers_[move.layers.front()].slots;       // else no padding moves
    const at::Tensor valid = padded ? valid_in(move.block, stored.positions, move.keys.front().device()) : at::Tensor();
    move.checked = rope::require_blocks_rotatable(move.keys, move.block.rows, move.rotation, options, where, valid);
  }

  void rotate(const planned& move, std::string_view) {
    if (!move.keys.empty()) {
      rope::rotate_checked_blocks_(move.keys, move.block.rows, *move.checked);
    }
  }

  static memory_range memory(const at::Tensor& keys) { return memory_of(keys); }

  /// The layers' tensors once all is moved.
  std::vector<at::Tensor> tensors() && {
    std::vector<at::Tensor> tensors;
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      const std::size_t first = first_of_[layer];
      tensors.push_back(first == layer ? layers_[layer].blocks : tensors[first]);
    }
    return tensors;
  }

 private:
  /// The slots and heads that `block` names, in every row.
  static at::Tensor slots_of(const at::Tensor& rows, const move_block& block) {
    const bool whole = block.slots == slot_range{0, rows.size(2)};  // the usual case costs a tensor a layer less
    const at::Tensor slots = whole ? rows : rows.narrow(2, block.slots.begin, block.slots.count);
    return block.head ? slots.narrow(1, *block.head, 1) : slots;
  }

  /// The rows that `block` names, which are neighbours.
  static at::Tensor rows_of(const at::Tensor& slots, const move_block& block) {
    return slots.narrow(0, block.rows.front(), static_cast<std::int64_t>(block.rows.size()));
  }

  /// Puts tensors in which the move is made in the layers' stead, and leaves nothing to be rotated.
  void replace(planned& move, const rope::options& options, std::string_view where) {
    const move_block& block = move.block;
    for (at::Tensor& keys : move.keys) {
      keys = rows_of(keys, block);
    }
    const std::vector<at::Tensor> moved = rope::rotate_keys(move.keys, move.rotation, options, where);
    for (std::size_t i = 0; i < moved.size(); ++i) {
      at::Tensor& whole = layers_[move.layers[i]].blocks;
      if (moved[i].size(0) == whole.size(0) && moved[i].size(1) == whole.size(1)) {
        whole = joined({whole.slice(2, 0, block.slots.begin), moved[i], whole.slice(2, block.slots.end())}, 2);
      } else {
        whole = whole.clone();
        rows_of(slots_of(whole, block), block).copy_(moved[i]);
      }
    }
    move.keys.clear();
  }

  std::vector<layouts::storage> layers_;
  std::vector<std::size_t> first_of_;  // each layer's first with the same keys
};

static_assert(KeyStorage<key_tensors>);

/// Moves keys where they lie, as `move_storage` does.
/// @param keys one per layer, all with one and the same table or with none
inline void move_keys(std::vector<layouts::storage> keys, const cache_frame& stored, const cache_frame& target,
                      const rope::options& options = {}, std::string_view where = "move") {
  require_one_or_apart(keys, where);
  key_tensors storage(std::move(keys));
  move_storage(storage, stored, target, options, where);
}

/// The same for whole tensors. Those that autograd tracks are replaced by moved ones.
/// @param keys per layer `[batch, kv_heads, seq or more, head_dim]`; slots past the frame are spare and stay as they
/// are
inline void move_keys(std::vector<at::Tensor>& keys, const cache_frame& stored, const cache_frame& target,
                      const rope::options& options = {}, std::string_view where = "materialize") {
  std::vector<layouts::storage> whole;
  for (const at::Tensor& layer : keys) {
    whole.push_back({layer, std::nullopt});
  }
  require_one_or_apart(whole, where);
  key_tensors storage(std::move(whole));
  move_storage(storage, stored, target, options, where);
  keys = std::move(storage).tensors();
}

}  // namespace kvtransfer::detail
