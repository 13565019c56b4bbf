#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"

namespace kvtransfer {

/// The layers named, in that order, without a copy: layer i of the result is layer `layers[i]` of the model that wrote
/// it. No model has its layers so, so the model's fingerprint is forgotten; token ids stay where the first layer does.
/// @throws shape_error if there is no such layer
template <LayerLayout Layout>
cache_view<Layout> select_layers(const cache_view<Layout>& source, const std::vector<std::int64_t>& layers) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  std::vector<cache_frame::shared_layer> frames;
  for (const std::int64_t index : layers) {
    const layer_view<Layout>& layer = source.layer(index);
    keys.push_back(layer.stored_keys());
    values.push_back(layer.stored_values());
    frames.push_back(layer.shared_frame());
  }
  cache_frame frame(std::move(frames));
  if (!layers.empty() && layers.front() == 0) {
    frame.set_token_ids(source.frame().token_ids());
  }
  frame.set_edits(detail::edits_of_items(source.frame().edits(), &cache_edit::layers, layers));
  if (source.frame().assumed()) {
    frame.set_assumed();
  }
  return cache_view<Layout>(keys, values, std::move(frame), source.layout());
}

}  // namespace kvtransfer
