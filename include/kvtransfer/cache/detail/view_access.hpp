#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/layer_view.hpp"
#include "kvtransfer/tensor/canonical.hpp"
#include "kvtransfer/tensor/lower.hpp"

namespace kvtransfer {

template <LayerLayout Layout>
class cache_view;

namespace detail {

/// The frames of a cache whose keys may have a move pending: how they are stored and where they shall be. Choosing
/// slots, sequences, heads or layers goes with any move, so it is done to both, and no key is rounded for it.
struct moving_frames {
  cache_frame stored;
  cache_frame target;
  key_mover moved = nullptr;  ///< null where nothing is pending

  /// Frames of keys that lie where they shall be.
  static moving_frames settled(cache_frame frame) {
    cache_frame target = frame;
    return {std::move(frame), std::move(target), nullptr};
  }

  [[nodiscard]] bool is_settled() const { return moved == nullptr; }

  /// Applies `change(cache_frame) -> cache_frame` to both; once where they are one.
  template <class Change>
  [[nodiscard]] moving_frames transform(Change&& change) const {
    if (is_settled()) {
      return settled(change(target));
    }
    return {change(stored), change(target), moved};
  }

  /// Applies `join(mine, theirs) -> cache_frame` to both sides' stored frames, and to their targets.
  template <class Join>
  moving_frames combine(const moving_frames& other, Join&& join) const {
    if (is_settled() && other.is_settled()) {
      return settled(join(target, other.target));
    }
    return {join(stored, other.stored), join(target, other.target), is_settled() ? other.moved : moved};
  }

  /// Replaces what both say beside positions: `change(cache_frame&)`.
  template <class Change>
  void edit(Change&& change) {
    change(stored);
    change(target);
  }
};

/// What operations of this library may do with views, and callers may not: read keys as they lie in memory whatever
/// move is pending, and show tensors in frames that follow from those of other views.
struct view_access {
  /// The tensor of a layer's keys in its layout's order, in the stored frame.
  template <LayerLayout Layout>
  static const at::Tensor& keys(const layer_view<Layout>& layer) {
    layer.require_unchanged();
    return layer.keys_;
  }

  /// The same in the plain form.
  template <LayerLayout Layout>
  static layouts::storage key_storage(const layer_view<Layout>& layer) {
    return layer.raw_key_storage();
  }

  /// The same as `[batch, kv_heads, seq, head_dim]`.
  template <LayerLayout Layout>
  static at::Tensor canonical_keys(const layer_view<Layout>& layer) {
    return layouts::canonical(layer.raw_key_storage(), "layer_view");
  }

  template <LayerLayout Layout>
  static const moving_frames& frames(const cache_view<Layout>& view) {
    return view.frames_;
  }

  template <LayerLayout Layout>
  static layer_view<Layout> layer(at::Tensor keys, at::Tensor values, const moving_frames& frames, std::int64_t index,
                                  const Layout& layout) {
    pending_move pending;
    if (!frames.is_settled() && !(frames.stored.layer(index) == frames.target.layer(index))) {
      pending = {frames.stored.shared(index), frames.moved};
    }
    return layer_view<Layout>(std::move(keys), std::move(values), frames.target.shared(index), layout,
                              std::move(pending));
  }

  /// @param keys as they lie in memory
  template <LayerLayout Layout>
  static cache_view<Layout> view(const std::vector<at::Tensor>& keys, const std::vector<at::Tensor>& values,
                                 moving_frames frames, Layout layout) {
    return cache_view<Layout>(keys, values, std::move(frames), std::move(layout));
  }

  /// The tensors of `source` in other frames.
  template <LayerLayout Layout>
  static cache_view<Layout> reread(const cache_view<Layout>& source, moving_frames frames) {
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (std::int64_t i = 0; i < source.layers(); ++i) {
      keys.push_back(view_access::keys(source.layer(i)));
      values.push_back(source.layer(i).stored_values());
    }
    return cache_view<Layout>(keys, values, std::move(frames), source.layout());
  }
};

}  // namespace detail
}  // namespace kvtransfer
