#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>

#include "kernels/tensor/slot_copy.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer::kernels {

/// Layers that one launch takes: their addresses are its parameters.
inline constexpr int layers_per_launch = 128;

struct layer_list {
  layer_bytes layers[layers_per_launch];
};

/// A grid's first axis. @throws shape_error where there are too many blocks to a layer
inline unsigned blocks_of_layer(std::int64_t blocks) {
  if (blocks > std::numeric_limits<std::int32_t>::max()) {
    fail<shape_error>("copy_slots_", "layers", "fewer than 2^31 runs and heads of a layer on CUDA",
                      fmt::format("{}", blocks));
  }
  return static_cast<unsigned>(blocks);
}

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
