#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/view_access.hpp"
#include "kvtransfer/cache/layer_view.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/lower.hpp"

namespace kvtransfer {

/// All layers of a cache where they lie, with their frame, to be read. Copying a view copies no data.
///
/// A view of a cache with a move pending shows every key where that move takes it: see `layer_view`. One that outlives
/// a change of its memory by this library refuses to be read.
template <LayerLayout Layout = layouts::batch_heads_seq_dim>
class cache_view {
 public:
  /// Shows tensors that a caller brings. Nobody has said that a model wrote them so, therefore the frame's origin is
  /// forgotten: give `as_written` where it is known.
  /// @param keys one tensor per layer in `Layout`'s order
  /// @param values one tensor per layer in `Layout`'s order
  /// @throws shape_error where tensors and frame disagree
  cache_view(const std::vector<at::Tensor>& keys, const std::vector<at::Tensor>& values, cache_frame frame,
             Layout layout = {})
      : cache_view(keys, values, std::move(frame).without_origin(), as_written, std::move(layout)) {}

  /// Shows tensors that hold what `frame` says a model wrote. @throws as above
  cache_view(const std::vector<at::Tensor>& keys, const std::vector<at::Tensor>& values, cache_frame frame,
             as_written_t, Layout layout = {})
      : cache_view(keys, values, detail::moving_frames::settled(std::move(frame)), std::move(layout)) {}

  /// How many layers there are.
  [[nodiscard]] std::int64_t layers() const { return static_cast<std::int64_t>(layers_.size()); }
  /// @throws shape_error if there is no such layer
  [[nodiscard]] const layer_view<Layout>& layer(std::int64_t index) const& {
    require_index<shape_error>(index, layers(), "cache_view", "layer");
    return layers_[static_cast<std::size_t>(index)];
  }
  /// Likewise, of a view that is about to go.
  [[nodiscard]] layer_view<Layout> layer(std::int64_t index) && {
    require_index<shape_error>(index, layers(), "cache_view", "layer");
    return std::move(layers_[static_cast<std::size_t>(index)]);
  }

  /// The frame its keys are written in.
  [[nodiscard]] const cache_frame& frame() const& { return frames_.target; }
  /// Likewise, of a view that is about to go.
  [[nodiscard]] cache_frame frame() && { return std::move(frames_.target); }

  /// Slots in the longest layer.
  [[nodiscard]] std::int64_t size() const {
    std::int64_t slots = 0;
    for (const layer_view<Layout>& layer : layers_) {
      slots = std::max(slots, layer.size());
    }
    return slots;
  }

  /// How the tensors are arranged.
  [[nodiscard]] const Layout& layout() const { return layout_; }

  /// Sequences; 0 for a cache without layers.
  [[nodiscard]] std::int64_t batch() const { return layers_.empty() ? 0 : layers_.front().extents().batch; }

  /// Whether any layer's keys are yet to be moved to where the frame says.
  [[nodiscard]] bool has_pending_move() const { return !frames_.is_settled(); }

  /// The same tensors read in another frame, which is marked `assumed` for good: for reproducing other people's
  /// mistakes. @throws shape_error, frame_error where tensors and frame disagree, or while a move is pending
  [[nodiscard]] cache_view assume_frame(cache_frame frame) const {
    require<frame_error>(!has_pending_move(), "cache_view::assume_frame", "frame",
                         "keys that lie where the frame says (materialize() the cache first)", "a pending move");
    frame.set_assumed();
    return detail::view_access::reread(*this, detail::moving_frames::settled(std::move(frame)));
  }

  /// The slots [begin, end) of every layer, without a copy.
  [[nodiscard]] cache_view slice(std::int64_t begin, std::int64_t end) const {
    detail::moving_frames part = frames_.transform([=](const cache_frame& frame) { return frame.slice(begin, end); });
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (const layer_view<Layout>& layer : layers_) {
      keys.push_back(layouts::slice_tensor(layouts::keys_of(layout_), detail::view_access::keys(layer), begin, end));
      values.push_back(layouts::slice_tensor(layouts::values_of(layout_), layer.stored_values(), begin, end));
    }
    return cache_view(keys, values, std::move(part), layouts::slice_layout(layout_, begin, end));
  }

 private:
  friend struct detail::view_access;

  cache_view(const std::vector<at::Tensor>& keys, const std::vector<at::Tensor>& values, detail::moving_frames frames,
             Layout layout)
      : frames_(std::move(frames)), layout_(std::move(layout)) {
    const auto expected = static_cast<std::size_t>(frame().layers());
    if (keys.size() != expected || values.size() != expected) {
      fail<shape_error>("cache_view", "layers", fmt::format("{} keys and values", expected),
                        fmt::format("{} keys, {} values", keys.size(), values.size()));
    }
    for (std::size_t i = 0; i < expected; ++i) {
      layers_.push_back(detail::view_access::layer(keys[i], values[i], frames_, static_cast<std::int64_t>(i), layout_));
    }
  }

  detail::moving_frames frames_;
  Layout layout_;
  std::vector<layer_view<Layout>> layers_;
};

}  // namespace kvtransfer
