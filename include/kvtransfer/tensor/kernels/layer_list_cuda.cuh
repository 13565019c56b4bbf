#pragma once

#include <algorithm>
#include <cstdint>

#include "kvtransfer/tensor/kernels/slot_copy.hpp"

namespace kvtransfer::kernels {

/// Layers that one launch takes: their addresses are its parameters.
inline constexpr int layers_per_launch = 128;

struct layer_list {
  layer_bytes layers[layers_per_launch];
};

/// Calls `launch(list, layers in it)` until every layer has been listed.
template <class Launch>
void for_each_layer_list(const layer_bytes* layers, std::int64_t count, Launch&& launch) {
  for (std::int64_t first = 0; first < count; first += layers_per_launch) {
    layer_list list;
    const std::int64_t listed = std::min<std::int64_t>(layers_per_launch, count - first);
    std::copy_n(layers + first, listed, list.layers);
    launch(list, static_cast<unsigned>(listed));
  }
}

}  // namespace kvtransfer::kernels
