#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/layer_view.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/lower.hpp"

namespace kvtransfer {

/// All layers of a cache where they lie, with their frame, to be read. Copying a view copies no data.
template <LayerLayout Layout = layouts::batch_heads_seq_dim>
class cache_view {
 public:
  /// @param keys one tensor per layer in `Layout`'s order
  /// @param values one tensor per layer in `Layout`'s order
  /// @throws shape_error where tensors and frame disagree
  cache_view(const std::vector<at::Tensor>& keys, const std::vector<at::Tensor>& values, cache_frame frame,
             Layout layout = {})
      : frame_(std::move(frame)), layout_(std::move(layout)) {
    const auto expected = static_cast<std::size_t>(frame_.layers());
    if (keys.size() != expected || values.size() != expected) {
      fail<shape_error>("cache_view", "layers", fmt::format("{} keys and values", expected),
                        fmt::format("{} keys, {} values", keys.size(), values.size()));
    }
    for (std::size_t i = 0; i < expected; ++i) {
      layers_.emplace_back(keys[i], values[i], frame_.shared(static_cast<std::int64_t>(i)), layout_);
    }
  }

  /// How many layers there are.
  [[nodiscard]] std::int64_t layers() const { return static_cast<std::int64_t>(layers_.size()); }
  /// @throws shape_error if there is no such layer
  [[nodiscard]] const layer_view<Layout>& layer(std::int64_t index) const {
    require_index<shape_error>(index, layers(), "cache_view", "layer");
    return layers_[static_cast<std::size_t>(index)];
  }

  /// The frame its keys are written in.
  [[nodiscard]] const cache_frame& frame() const { return frame_; }

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

  /// The same tensors read in another frame. @throws shape_error, frame_error where tensors and frame disagree
  [[nodiscard]] cache_view with_frame(cache_frame frame) const {
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (const layer_view<Layout>& layer : layers_) {
      keys.push_back(layer.stored_keys());
      values.push_back(layer.stored_values());
    }
    return cache_view(keys, values, std::move(frame), layout_);
  }

  /// The slots [begin, end) of every layer, without a copy.
  [[nodiscard]] cache_view slice(std::int64_t begin, std::int64_t end) const {
    cache_frame part = frame_.slice(begin, end);
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (const layer_view<Layout>& layer : layers_) {
      keys.push_back(layouts::slice_tensor(layouts::keys_of(layout_), layer.stored_keys(), begin, end));
      values.push_back(layouts::slice_tensor(layouts::values_of(layout_), layer.stored_values(), begin, end));
    }
    return cache_view(keys, values, std::move(part), layouts::slice_layout(layout_, begin, end));
  }

 private:
  cache_frame frame_;
  Layout layout_;
  std::vector<layer_view<Layout>> layers_;
};

}  // namespace kvtransfer
