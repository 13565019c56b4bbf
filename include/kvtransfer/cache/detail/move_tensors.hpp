#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/move_keys.hpp"
#include "kvtransfer/cache/detail/row_positions.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotate_blocks.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/tensor/lower.hpp"

namespace kvtransfer::detail {

/// Keys in tensors `[rows, kv_heads, slots, head_dim]`, whole or by a table, all layers alike in that. They are moved in
/// place; tensors without a table that autograd tracks are replaced by moved ones.
class key_tensors {
 public:
  using keys_type = at::Tensor;
  using planned = planned_rotation<at::Tensor>;

  explicit key_tensors(std::vector<layouts::storage> layers) : layers_(std::move(layers)) {}

  std::size_t layers() const { return layers_.size(); }
  at::Device device(std::size_t layer) const { return layers_[layer].blocks.device(); }

  bool are_alike(std::size_t first, std::size_t second) const {
    const at::Tensor& a = layers_[first].blocks;
    const at::Tensor& b = layers_[second].blocks;
    return a.sizes() == b.sizes() && a.scalar_type() == b.scalar_type() && a.device() == b.device() &&
           a.requires_grad() == b.requires_grad();
  }

  /// @throws frame_error where sequences share a key and would move it differently
  placed_positions place(std::size_t layer, const layer_frame& stored, const layer_frame& target,
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

  void check(planned& move, const layer_frame&, const rope::options& options, std::string_view where) {
    for (const std::size_t layer : move.layers) {
      move.keys.push_back(slots_of(layers_[layer].blocks, move.block));
    }
    if (move.keys.front().requires_grad() && !layers_[move.layers.front()].slots) {
      return replace(move, options, where);
    }
    move.rotation = rope::require_blocks_rotatable(move.keys, move.block.rows, move.rotation, options, where);
  }

  void rotate(const planned& move, const rope::options& options, std::string_view where) {
    if (!move.keys.empty()) {
      rope::rotate_blocks_(move.keys, move.block.rows, move.rotation, options, where);
    }
  }

  /// The layers' tensors once all is moved.
  std::vector<at::Tensor> tensors() && {
    std::vector<at::Tensor> tensors;
    for (layouts::storage& layer : layers_) {
      tensors.push_back(std::move(layer.blocks));
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
        whole = at::cat({whole.slice(2, 0, block.slots.begin), moved[i], whole.slice(2, block.slots.end())}, 2);
      } else {
        whole = whole.clone();
        rows_of(slots_of(whole, block), block).copy_(moved[i]);
      }
    }
    move.keys.clear();
  }

  std::vector<layouts::storage> layers_;
};

static_assert(KeyStorage<key_tensors>);

/// Moves keys where they lie, as `move_storage` does.
/// @param keys one per layer, all with one and the same table or with none
inline void move_keys(std::vector<layouts::storage> keys, const cache_frame& stored, const cache_frame& target,
                      const rope::options& options = {}, std::string_view where = "move") {
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
  key_tensors storage(std::move(whole));
  move_storage(storage, stored, target, options, where);
  keys = std::move(storage).tensors();
}

}  // namespace kvtransfer::detail
