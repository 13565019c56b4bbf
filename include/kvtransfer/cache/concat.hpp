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
#include "kvtransfer/cache/detail/writings.hpp"
#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/cache/layer_view.hpp"
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
        if (taken.contains(place)) {
          fail<frame_error>("concat", "positions", "positions that only one cache holds (shift one, or allow overlap)",
                            fmt::format("position {} in both", fmt::join(place, ", ")));
        }
      }
    }
  }
}

/// @throws shape_error, device_error unless keys and values of `second` can stand behind those of `first`
template <LayerLayout A, LayerLayout B>
void require_joinable(const layer_view<A>& first, const layer_view<B>& second) {
  const auto require_joinable_tensors = [](const layouts::storage& a, const layouts::storage& b,
                                           std::string_view what) {
    cache_extents expected = a.extents();
    expected.seq = b.extents().seq;
    if (!(b.extents() == expected) || a.blocks.scalar_type() != b.blocks.scalar_type()) {
      fail<shape_error>("concat", what,
                        fmt::format("{} but for seq, {}", a.extents(), c10::toString(a.blocks.scalar_type())),
                        fmt::format("{}, {}", b.extents(), c10::toString(b.blocks.scalar_type())));
    }
    require_same_device(a.blocks, b.blocks, "concat", what);
  };
  require_joinable_tensors(first.key_storage(), second.key_storage(), "keys of second");
  require_joinable_tensors(first.value_storage(), second.value_storage(), "values of second");
  if (first.frame().positions.streams() != second.frame().positions.streams()) {
    fail<shape_error>("concat", "positions of second", fmt::format("{} streams", first.frame().positions.streams()),
                      fmt::format("{}", second.frame().positions.streams()));
  }
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
  if (first.layers() != second.layers()) {
    fail<shape_error>("concat", "layers of second", fmt::format("{}", first.layers()),
                      fmt::format("{}", second.layers()));
  }
  detail::require_same_model(first.frame(), second.frame(), "concat", "model of second");
  for (std::int64_t i = 0; i < first.layers(); ++i) {
    detail::require_joinable(first.layer(i), second.layer(i));
  }
  cache_frame joined = first.frame().followed_by(second.frame(), [&](const layer_frame& a, const layer_frame& b) {
    detail::require_same_writings(a, b, "concat");
    if (overlap == position_overlap::refused) {
      detail::require_apart(a, b);
    }
  });
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < first.layers(); ++i) {
    keys.push_back(detail::joined({first.layer(i).keys(), second.layer(i).keys()}, 2));
    values.push_back(detail::joined({first.layer(i).values(), second.layer(i).values()}, 2));
  }
  return cache(std::move(keys), std::move(values), std::move(joined));
}

}  // namespace kvtransfer
