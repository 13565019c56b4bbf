#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/detail/storage_memory.hpp"
#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/core/cache_extents.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/mapped_file.hpp"
#include "kvtransfer/core/memory_changes.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/tensor/canonical.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"
#include "kvtransfer/tensor/layouts/strided.hpp"
#include "kvtransfer/tensor/lower.hpp"

namespace kvtransfer::detail {

/// @throws frame_error where a slot that `slots` stores nowhere is not padding in every head
void require_keys_stored(const position_map& positions, const layouts::slot_table& slots, std::string_view where);

/// Gives keys `[batch, kv_heads, seq, head_dim]` as they are in the frame `target`, in a tensor of its own.
using key_mover = at::Tensor (*)(const at::Tensor& keys, const std::shared_ptr<const layer_frame>& stored,
                                 const std::shared_ptr<const layer_frame>& target);

/// A move that the keys of a view are yet to make: they are rotated when they are read.
struct pending_move {
  std::shared_ptr<const layer_frame> stored = {};  ///< in which the keys lie in memory; null where nothing is pending
  key_mover moved = nullptr;                       ///< of whoever made the view
};

struct view_access;

}  // namespace kvtransfer::detail

namespace kvtransfer {

/// One layer's keys and values where they lie, with the frame they are read in. Copying a view copies no data.
///
/// A view of a cache with a move pending reads keys where that move takes them: `keys()` is then a rotated copy,
/// rounded once, and the cache keeps its keys and its pending move. A view that outlives a change of its memory by this
/// library, or of the file that its memory maps, refuses to be read.
template <LayerLayout Layout = layouts::batch_heads_seq_dim>
class layer_view {
 public:
  /// @param keys in `Layout`'s order, floating
  /// @param values as `keys`; their head_dim may differ (multi-head latent attention)
  /// @throws shape_error where tensors and frame disagree, device_error where they live apart, frame_error where the
  ///         frame has a key in a slot that the layout does not store
  layer_view(at::Tensor keys, at::Tensor values, std::shared_ptr<const layer_frame> frame, Layout layout = {})
      : layer_view(std::move(keys), std::move(values), std::move(frame), std::move(layout), detail::pending_move()) {}

  /// `[batch, kv_heads, seq, head_dim]`: sharing storage with the tensor given where strides describe the layout, else
  /// gathered, with zeros for padding that is not stored. A rotated copy where a move is pending.
  /// @throws frame_error where the memory was changed since the view was made
  [[nodiscard]] at::Tensor keys() const {
    const at::Tensor stored = layouts::canonical(raw_key_storage(), "layer_view");
    return has_pending_move() ? pending_.moved(stored, pending_.stored, frame_) : stored;
  }
  /// `[batch, kv_heads, seq, head_dim]`, as `keys()`; values never move.
  [[nodiscard]] at::Tensor values() const { return layouts::canonical(value_storage(), "layer_view"); }

  /// Whether keys lie in memory elsewhere than the frame says, and are rotated when they are read.
  [[nodiscard]] bool has_pending_move() const { return pending_.stored != nullptr; }

  /// The tensors given, in the layout's order. @throws frame_error while a move is pending, or where the memory was
  /// changed
  [[nodiscard]] const at::Tensor& stored_keys() const& {
    require<frame_error>(!has_pending_move(), "layer_view::stored_keys", "frame",
                         "keys that lie where the frame says (materialize() the cache first, or read keys())",
                         "a pending move");
    require_unchanged();
    return keys_;
  }
  /// Likewise, of a view that is about to go.
  [[nodiscard]] at::Tensor stored_keys() && { return std::as_const(*this).stored_keys(); }
  /// The tensor of values given. @throws frame_error where the memory was changed
  [[nodiscard]] const at::Tensor& stored_values() const& {
    require_unchanged();
    return values_;
  }
  /// Likewise, of a view that is about to go.
  [[nodiscard]] at::Tensor stored_values() && { return std::as_const(*this).stored_values(); }
  /// Of the keys; that of the values is `stored_values()`'s.
  [[nodiscard]] at::ScalarType dtype() const { return keys_.scalar_type(); }
  /// On which keys and values lie.
  [[nodiscard]] at::Device device() const { return keys_.device(); }
  /// How the tensors are arranged.
  [[nodiscard]] const Layout& layout() const { return layout_; }

  /// Keys in the plain form that kernels read: the storage of the tensor given, or of `keys()` where a move is pending.
  [[nodiscard]] layouts::storage key_storage() const {
    return has_pending_move() ? layouts::storage{keys(), std::nullopt} : raw_key_storage();
  }
  /// Values likewise, always where they lie.
  [[nodiscard]] layouts::storage value_storage() const {
    require_unchanged();
    return layouts::lower(layouts::values_of(layout_), values_, "layer_view", "values");
  }

  /// Where each key stands.
  [[nodiscard]] const layer_frame& frame() const& { return *frame_; }
  /// Likewise, of a view that is about to go.
  [[nodiscard]] layer_frame frame() && { return *frame_; }
  /// Likewise, with a share in it.
  [[nodiscard]] const std::shared_ptr<const layer_frame>& shared_frame() const& { return frame_; }
  /// Likewise, of a view that is about to go.
  [[nodiscard]] std::shared_ptr<const layer_frame> shared_frame() && { return std::move(frame_); }
  /// Of the keys; the values' head_dim may differ.
  [[nodiscard]] cache_extents extents() const { return lowered_keys().extents(); }
  /// Slots.
  [[nodiscard]] std::int64_t size() const { return frame_->size(); }

 private:
  friend struct detail::view_access;

  layer_view(at::Tensor keys, at::Tensor values, std::shared_ptr<const layer_frame> frame, Layout layout,
             detail::pending_move pending)
      : known_(memory_changes::instance().last()),
        keys_(std::move(keys)),
        values_(std::move(values)),
        frame_(std::move(frame)),
        layout_(std::move(layout)),
        pending_(std::move(pending)) {
    const layouts::storage value_storage = this->value_storage();
    const layouts::storage key_storage = raw_key_storage();
    require_same_device(key_storage.blocks, value_storage.blocks, "layer_view", "values");
    check_extents(value_storage.extents());
    check_storage(value_storage);
    check_storage(key_storage);
  }

  [[nodiscard]] layouts::storage lowered_keys() const {
    return layouts::lower(layouts::keys_of(layout_), keys_, "layer_view", "keys");
  }
  [[nodiscard]] layouts::storage raw_key_storage() const {
    require_unchanged();
    return lowered_keys();
  }

  void require_unchanged() const {
    for (const at::Tensor* const tensor : {&keys_, &values_}) {  // which may be of two files, or one of none
      if (tensor->numel() > 0) {
        mapped_file::require_unchanged_at(tensor->const_data_ptr());
      }
    }
    detail::require_unchanged(
        known_, {keys_, values_},
        [&] {
          return detail::memory_of(std::vector{
              lowered_keys(), layouts::lower(layouts::values_of(layout_), values_, "layer_view", "values")});
        },
        "layer_view");
  }

  void check_extents(cache_extents values_extents) const {
    const cache_extents keys_extents = extents();
    values_extents.head_dim = keys_extents.head_dim;
    if (!(values_extents == keys_extents)) {
      fail<shape_error>("layer_view", "values", fmt::format("{}, any head_dim", keys_extents), describe(values_));
    }
    const position_map& positions = frame_->positions;
    const bool heads_fit = positions.heads() == 1 || positions.heads() == keys_extents.kv_heads;
    if (positions.size() != keys_extents.seq || positions.batch() != keys_extents.batch || !heads_fit) {
      fail<shape_error>(
          "layer_view", "positions", fmt::format("{}", keys_extents),
          fmt::format("[batch={}, kv_heads={}, seq={}]", positions.batch(), positions.heads(), positions.size()));
    }
    frame_->validate();
  }

  void check_storage(const layouts::storage& storage) const {
    if (storage.slots) {
      detail::require_keys_stored(frame_->positions, *storage.slots, "layer_view");
    }
  }

  std::uint64_t known_;  // the last change of memory when the view was made
  at::Tensor keys_;
  at::Tensor values_;
  std::shared_ptr<const layer_frame> frame_;
  Layout layout_;
  detail::pending_move pending_;
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/layer_view.ipp"  // IWYU pragma: export
#endif
