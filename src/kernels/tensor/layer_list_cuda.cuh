#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda_layers.cuh"
#include "kernels/tensor/slot_copy.hpp"

namespace kvtransfer::kernels {

struct layer_list {
  layer_bytes layers[layers_per_launch];
};

/// A grid's first axis. @throws shape_error where there are too many blocks to a layer
inline unsigned blocks_of_layer(std::int64_t blocks) {
  return grid_axis(blocks, "copy_slots_", "layers", "runs and heads");
}

/// Calls `launch(list, layers in it)` until every layer has been listed.
template <class Launch>
void for_each_layer_list(const layer_bytes* layers, std::int64_t count, Launch&& launch) {
  for (std::int64_t first = 0; first < count; first += layers_per_launch) {
    layer_list list;
    const std::int64_t listed = std::min(layers_per_launch, count - first);
    std::copy_n(layers + first, listed, list.layers);
    launch(list, static_cast<unsigned>(listed));
  }
}

}  // namespace kvtransfer::kernels
