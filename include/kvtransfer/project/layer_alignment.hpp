#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <numeric>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// Which layers of a source each layer of a receiver is made of, the nearest first. Layers count from the embedding.
using layer_alignment = std::vector<std::vector<std::int64_t>>;

namespace detail {

/// @throws value_error unless both models have layers, and the source as many as are wanted
inline void require_alignable(std::int64_t receiver, std::int64_t source, std::int64_t count, std::string_view where) {
  require<value_error>(receiver > 0, where, "receiver", "1 layer or more", formatted("{}", receiver));
  require<value_error>(count > 0 && count <= source, where, "count", formatted("1 to {} layers of the source", source),
                       formatted("{}", count));
}

/// `anchor` and what lies before it, then what lies behind it, until there are `count`.
[[nodiscard]] inline std::vector<std::int64_t> layers_from(std::int64_t anchor, std::int64_t source,
                                                           std::int64_t count) {
  std::vector<std::int64_t> layers;
  for (std::int64_t layer = anchor; layer >= 0 && std::cmp_less(layers.size(), count); --layer) {
    layers.push_back(layer);
  }
  for (std::int64_t layer = anchor + 1; layer < source && std::cmp_less(layers.size(), count); ++layer) {
    layers.push_back(layer);
  }
  return layers;
}

}  // namespace detail

/// The last layer with the last, the one before it with the one before, and so on; where the receiver has more layers,
/// its first ones all with the source's first.
/// @param count layers of the source for each, going towards the embedding
/// Source: thu-nics/C2C, rosetta/train/model_utils.py, last_aligned_sources.
[[nodiscard]] inline layer_alignment align_last_layers(std::int64_t receiver, std::int64_t source,
                                                       std::int64_t count = 1) {
  detail::require_alignable(receiver, source, count, "align_last_layers");
  layer_alignment aligned;
  for (std::int64_t layer = 0; layer < receiver; ++layer) {
    aligned.push_back(detail::layers_from(std::max<std::int64_t>(source - receiver + layer, 0), source, count));
  }
  return aligned;
}

/// The first layer with the first, the second with the second; where the receiver has more layers, its last ones all
/// with the source's last.
[[nodiscard]] inline layer_alignment align_first_layers(std::int64_t receiver, std::int64_t source,
                                                        std::int64_t count = 1) {
  detail::require_alignable(receiver, source, count, "align_first_layers");
  layer_alignment aligned;
  for (std::int64_t layer = 0; layer < receiver; ++layer) {
    aligned.push_back(detail::layers_from(std::min(layer, source - 1), source, count));
  }
  return aligned;
}

/// Both stacks stretched to one length, from the first layer to the last, and for each layer the nearest ones; of two
/// equally near the one before.
/// Source: thu-nics/C2C, rosetta/train/model_utils.py, k_nearest_sources.
[[nodiscard]] inline layer_alignment align_stretched_layers(std::int64_t receiver, std::int64_t source,
                                                            std::int64_t count = 1) {
  detail::require_alignable(receiver, source, count, "align_stretched_layers");
  // Distances in units of 1 / ((receiver − 1)·(source − 1)): whole numbers, so that ties are ties.
  const std::int64_t of_receiver = std::max<std::int64_t>(source - 1, 1);
  const std::int64_t of_source = std::max<std::int64_t>(receiver - 1, 1);
  layer_alignment aligned;
  for (std::int64_t layer = 0; layer < receiver; ++layer) {
    std::vector<std::int64_t> layers(static_cast<std::size_t>(source));
    std::iota(layers.begin(), layers.end(), std::int64_t{0});
    std::ranges::stable_sort(layers, {}, [&](std::int64_t other) {
      const std::int64_t difference = other * of_source - layer * of_receiver;
      return difference < 0 ? -difference : difference;
    });
    layers.resize(static_cast<std::size_t>(count));
    aligned.push_back(std::move(layers));
  }
  return aligned;
}

/// The layers that `map` names, by layer of the receiver; the others of the receiver stay as they are.
/// @throws value_error for a layer that a model doesn't have
[[nodiscard]] inline layer_alignment align_named_layers(std::int64_t receiver, std::int64_t source,
                                                        const std::map<std::int64_t, std::vector<std::int64_t>>& map) {
  layer_alignment aligned(static_cast<std::size_t>(std::max<std::int64_t>(receiver, 0)));
  for (const auto& [layer, layers] : map) {
    require_index<value_error>(layer, receiver, "align_named_layers", "layer of the receiver");
    for (const std::int64_t other : layers) {
      require_index<value_error>(other, source, "align_named_layers", "layer of the source");
    }
    aligned[static_cast<std::size_t>(layer)] = layers;
  }
  return aligned;
}

}  // namespace kvtransfer
