#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/move_keys.hpp"
#include "kvtransfer/cache/detail/shared_memory.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/quantized/rotate_quantized_keys.hpp"
#include "kvtransfer/tensor/operations.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"
#include "kvtransfer/tensor/quantized/slice.hpp"

namespace kvtransfer::detail {

/// Keys as codes. Groups that a block's end cuts are split first, so that keys which stay keep their codes and scales:
/// a group that is cut is replaced, scales and all; codes stay where they are.
class key_codes {
 public:
  using keys_type = quantized_tensor;
  using planned = planned_rotation<quantized_tensor>;

  explicit key_codes(std::vector<quantized_tensor> layers) : layers_(std::move(layers)) {
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      std::size_t first = 0;
      while (first < layer && !is_same_memory(layers_[first].codes, layers_[layer].codes)) {
        ++first;
      }
      first_of_.push_back(first);
    }
  }

  [[nodiscard]] std::size_t layers() const { return layers_.size(); }
  [[nodiscard]] at::Device device(std::size_t layer) const { return layers_[layer].device(); }
  [[nodiscard]] bool are_alike(std::size_t a, std::size_t b) const {
    return kvtransfer::are_alike(layers_[a], layers_[b]) && device(a) == device(b);
  }
  [[nodiscard]] std::size_t first_with_keys_of(std::size_t layer) const { return first_of_[layer]; }
  [[nodiscard]] placed_positions place(std::size_t, const layer_frame& stored, const layer_frame& target,
                                       std::string_view) const {
    return placed_in_rows(stored.positions, target.positions);
  }

  void prepare(const planned& move) {
    for (const std::size_t layer : move.layers) {
      quantized_tensor& whole = layers_[layer];
      whole = split_groups_at(split_groups_at(whole, move.block.slots.begin), move.block.slots.end());
      whole.carried_error = whole.carried_error.defined() ? whole.carried_error : zeros_as(whole.scales);
    }
  }

  void check(planned& move, const layer_frame& stored, const rope::options& options, std::string_view where) {
    valid_.push_back(valid_in(move.block, stored.positions, device(move.layers.front())));
    for (const std::size_t layer : move.layers) {
      move.keys.push_back(slice(layers_[layer], move.block.slots.begin, move.block.slots.end())
                              .transform([&](const at::Tensor& tensor) { return restricted(tensor, move.block); }));
    }
    move.checked = rope::require_quantized_rotatable(move.keys, move.rotation, options, where);
  }

  void rotate(planned& move, std::string_view where) {
    rope::rotate_checked_quantized_keys_(move.keys, *move.checked, valid_[rotated_++], where);
  }

  static memory_range memory(const quantized_tensor& keys) { return memory_of(keys.codes); }

  /// The layers once all is moved.
  std::vector<quantized_tensor> tensors() && {
    for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
      if (first_of_[layer] != layer) {
        layers_[layer] = layers_[first_of_[layer]];
      }
    }
    return std::move(layers_);
  }

 private:
  /// The rows (which are neighbours) and heads that `block` names.
  static at::Tensor restricted(const at::Tensor& tensor, const move_block& block) {
    const at::Tensor rows = tensor.narrow(0, block.rows.front(), static_cast<std::int64_t>(block.rows.size()));
    return block.head && rows.size(1) > 1 ? rows.narrow(1, *block.head, 1) : rows;
  }

  std::vector<quantized_tensor> layers_;
  std::vector<std::size_t> first_of_;  // each layer's first with the same codes
  std::vector<at::Tensor> valid_;      // a rotation's, in the order that they are checked and made in
  std::size_t rotated_ = 0;
};

static_assert(KeyStorage<key_codes>);

/// Moves quantized keys in place, as `move_storage` does, with one rotation and one quantization each; `error_bound`
/// says what that costs. Keys that stay where they are keep their codes.
/// @param keys one per layer, as many slots as its frame has
inline void move_keys(std::vector<quantized_tensor>& keys, const cache_frame& stored, const cache_frame& target,
                      const rope::options& options = {}, std::string_view where = "materialize") {
  std::vector<layouts::storage> codes;
  for (const quantized_tensor& layer : keys) {
    codes.push_back({layer.codes, std::nullopt});
  }
  require_one_or_apart(codes, where);
  key_codes storage(keys);
  move_storage(storage, stored, target, options, where);
  keys = std::move(storage).tensors();
}

}  // namespace kvtransfer::detail
