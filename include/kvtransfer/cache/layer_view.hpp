#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/core/cache_extents.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/tensor/canonical.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/layouts.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"
#include "kvtransfer/tensor/lower.hpp"

namespace kvtransfer::detail {

/// @throws frame_error where row `batch` has a key among the slots [begin, end), which have no storage
inline void require_padding(const position_map& positions, std::int64_t batch, std::int64_t begin, std::int64_t end,
                            std::string_view where) {
  for (std::int64_t head = 0; head < positions.heads() && begin < end; ++head) {
    if (positions.row(0, batch, head).slice(begin, end).key_count() > 0) {
      fail<frame_error>(where, "positions", "padding where the layout stores nothing",
                        fmt::format("a key of sequence {} in slots [{}, {})", batch, begin, end));
    }
  }
}

/// @throws frame_error where a slot that `slots` stores nowhere is not padding in every head
inline void require_keys_stored(const position_map& positions, const layouts::slot_table& slots,
                                std::string_view where) {
  std::int64_t batch = 0;
  std::int64_t stored_up_to = 0;
  const auto finish_rows_before = [&](std::int64_t next) {
    for (; batch < next; ++batch) {
      require_padding(positions, batch, stored_up_to, positions.size(), where);
      stored_up_to = 0;
    }
  };
  for (const layouts::slot_span& span : slots.spans()) {
    finish_rows_before(span.batch);
    require_padding(positions, batch, stored_up_to, span.begin, where);
    stored_up_to = span.begin + span.count;
  }
  finish_rows_before(positions.batch());
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

/// One layer's keys and values where they lie, with the frame they are read in. Copying a view copies no data.
template <LayerLayout Layout = layouts::batch_heads_seq_dim>
class layer_view {
 public:
  /// @param keys in `Layout`'s order, floating
  /// @param values as `keys`; their head_dim may differ (multi-head latent attention)
  /// @throws shape_error where tensors and frame disagree, device_error where they live apart, frame_error where the
  ///         frame has a key in a slot that the layout does not store
  layer_view(at::Tensor keys, at::Tensor values, std::shared_ptr<const layer_frame> frame, Layout layout = {})
      : keys_(std::move(keys)), values_(std::move(values)), frame_(std::move(frame)), layout_(std::move(layout)) {
    const layouts::storage value_storage = this->value_storage();
    require_same_device(key_storage().blocks, value_storage.blocks, "layer_view", "values");
    check_extents(value_storage.extents());
    check_storage(value_storage);
    check_storage(key_storage());
  }

  /// `[batch, kv_heads, seq, head_dim]`: sharing storage with the tensor given where strides describe the layout, else
  /// gathered, with zeros for padding that is not stored.
  [[nodiscard]] at::Tensor keys() const { return layouts::canonical(key_storage(), "layer_view"); }
  /// `[batch, kv_heads, seq, head_dim]`, as `keys()`.
  [[nodiscard]] at::Tensor values() const { return layouts::canonical(value_storage(), "layer_view"); }

  /// The tensors given, in the layout's order.
  [[nodiscard]] const at::Tensor& stored_keys() const { return keys_; }
  /// The tensor of values given.
  [[nodiscard]] const at::Tensor& stored_values() const { return values_; }
  /// How the tensors are arranged.
  [[nodiscard]] const Layout& layout() const { return layout_; }

  /// Keys in the plain form that kernels read, sharing storage with the tensor given.
  [[nodiscard]] layouts::storage key_storage() const {
    return layouts::lower(layouts::keys_of(layout_), keys_, "layer_view", "keys");
  }
  /// Values likewise.
  [[nodiscard]] layouts::storage value_storage() const {
    return layouts::lower(layouts::values_of(layout_), values_, "layer_view", "values");
  }

  /// Where each key stands.
  [[nodiscard]] const layer_frame& frame() const { return *frame_; }
  /// Likewise, with a share in it.
  [[nodiscard]] const std::shared_ptr<const layer_frame>& shared_frame() const { return frame_; }
  /// Of the keys; the values' head_dim may differ.
  [[nodiscard]] cache_extents extents() const { return key_storage().extents(); }
  /// Slots.
  [[nodiscard]] std::int64_t size() const { return frame_->size(); }

 private:
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

  at::Tensor keys_;
  at::Tensor values_;
  std::shared_ptr<const layer_frame> frame_;
  Layout layout_;
};

}  // namespace kvtransfer
