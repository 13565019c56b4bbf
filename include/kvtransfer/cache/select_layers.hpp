#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/edit_slots.hpp"

namespace kvtransfer {

/// The layers named, in that order, without a copy: layer i of the result is layer `layers[i]` of the model that wrote
/// it. No model has its layers so, so which model that was is forgotten; token ids stay where the first layer does.
/// @throws shape_error if there is no such layer
template <LayerLayout Layout>
cache_view<Layout> select_layers(const cache_view<Layout>& source, const std::vector<std::int64_t>& layers) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (const std::int64_t index : layers) {
    keys.push_back(detail::view_access::keys(source.layer(index)));
    values.push_back(source.layer(index).stored_values());
  }
  const auto choose = [&](const cache_frame& all) {
    std::vector<cache_frame::shared_layer> chosen;
    for (const std::int64_t index : layers) {
      chosen.push_back(all.shared(index));
    }
    cache_frame frame(std::move(chosen));
    frame.set_tokens(all.tokens().select(layers));
    frame.set_edits(detail::edits_of_items(all.edits(), &cache_edit::layers, layers));
    if (all.assumed()) {
      frame.set_assumed();
    }
    return frame;
  };
  return detail::view_access::view(keys, values, detail::view_access::frames(source).transform(choose),
                                   source.layout());
}

}  // namespace kvtransfer
