#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/layer_pairs.hpp"
#include "kvtransfer/cache/detail/writings.hpp"
#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer {

/// What to do where two caches hold keys at the same position.
///
/// Two texts at one position is what a harness gets that forgets to move the second cache, so it has to be asked for.
enum class position_overlap { refused, allowed };

namespace detail {

/// Where the keys of one row and head stand, on every stream.
inline std::vector<std::vector<std::int64_t>> places(const position_map& map, std::int64_t batch, std::int64_t head) {
  std::vector<std::vector<std::int64_t>> all;
  for (std::int64_t stream = 0; stream < map.streams(); ++stream) {
    const std::vector<position_run> slots = map.row(stream, batch, head).one_run_per_slot();
    all.resize(static_cast<std::size_t>(map.row(stream, batch, head).key_count()));
    std::size_t key = 0;
    for (const position_run& slot : slots) {
      if (!slot.state.is_padding()) {
        all[key++].push_back(slot.first);
      }
    }
  }
  return all;
}

/// @throws frame_error where one row and head has a key at the same position in both layers
inline void require_apart(const layer_frame& first, const layer_frame& second) {
  const std::int64_t heads = std::max(first.positions.heads(), second.positions.heads());
  for (std::int64_t batch = 0; batch < first.positions.batch(); ++batch) {
    for (std::int64_t head = 0; head < heads; ++head) {
      const auto list = places(first.positions, batch, head);
      const std::set<std::vector<std::int64_t>> taken(list.begin(), list.end());
      for (const std::vector<std::int64_t>& place : places(second.positions, batch, head)) {
        require<frame_error>(!taken.contains(place), "concat", "positions",
                             "positions that only one cache holds (shift one, or allow overlap)",
                             [&] { return fmt::format("position {} in both", fmt::join(place, ", ")); });
      }
    }
  }
}

/// @throws shape_error unless two caches have as many layers; frame_error unless one model wrote both
inline void require_same_origin(const cache_frame& first, const cache_frame& second) {
  require<shape_error>(first.layers() == second.layers(), "concat", "layers of second",
                       fmt::format("{}", first.layers()), fmt::format("{}", second.layers()));
  require_same_model(first, second, "concat", "model of second");
}

/// The frame of two caches one behind the other.
/// @throws frame_error where rotary specifications differ, or positions overlap without leave; shape_error where
/// streams do
inline cache_frame joined_frames(const cache_frame& first, const cache_frame& second, position_overlap overlap) {
  return first.followed_by(second, [&](const layer_frame& a, const layer_frame& b) {
    require<shape_error>(a.positions.streams() == b.positions.streams(), "concat", "positions of second",
                         fmt::format("{} streams", a.positions.streams()), fmt::format("{}", b.positions.streams()));
    require_same_writings(a, b, "concat");
    if (overlap == position_overlap::refused) {
      require_apart(a, b);
    }
  });
}

}  // namespace detail

/// A new cache with the slots of `first` followed by those of `second`, layer by layer. Nothing is moved.
/// @throws frame_error where rotary specifications or models differ, or positions overlap without
/// `position_overlap::allowed`
/// @throws shape_error where layers, batch, heads, head_dim, dtype or streams differ; device_error where they live
/// apart
template <LayerLayout A, LayerLayout B>
cache concat(const cache_view<A>& first, const cache_view<B>& second,
             position_overlap overlap = position_overlap::refused) {
  detail::require_same_origin(first.frame(), second.frame());
  const auto require_joinable = [](const layouts::storage& a, const layouts::storage& b, std::string_view what) {
    const cache_extents extents = b.extents();
    require_extents(extents, b.blocks.scalar_type(), a.extents().with_seq(extents.seq), a.blocks.scalar_type(),
                    "concat", what);
    require_same_device(a.blocks, b.blocks, "concat", what);
  };
  for (std::int64_t i = 0; i < first.layers(); ++i) {
    require_joinable(first.layer(i).key_storage(), second.layer(i).key_storage(), "keys of second");
    require_joinable(first.layer(i).value_storage(), second.layer(i).value_storage(), "values of second");
  }
  cache_frame joined = detail::joined_frames(first.frame(), second.frame(), overlap);
  auto [keys, values] = detail::keys_and_values_of(first.layers(), [&](std::int64_t i) {
    return std::pair(detail::joined({first.layer(i).keys(), second.layer(i).keys()}, 2),
                     detail::joined({first.layer(i).values(), second.layer(i).values()}, 2));
  });
  return cache(std::move(keys), std::move(values), std::move(joined));
}

}  // namespace kvtransfer
