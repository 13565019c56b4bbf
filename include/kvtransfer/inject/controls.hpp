#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/edited.hpp"
#include "kvtransfer/cache/gather.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer {

/// `count` numbers from 0 on in an order drawn from `seed` that leaves none in its place: one cycle through all of
/// them. Source: Sattolo's algorithm.
[[nodiscard]] inline std::vector<std::int64_t> shuffled_cycle(std::int64_t count, std::uint64_t seed) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::mt19937_64 draw(seed);
  for (std::size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[draw() % (i - 1)]);
  }
  return order;
}

/// Zeros in `source`'s shape and frame, with the edit on its list: slots that are there and say nothing. A key of zeros
/// is attended to like any whose product with the query is 0.
[[nodiscard]] inline cache zeros_like(const cache_view<>& source) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    keys.push_back(detail::zeros_as(source.layer(i).keys()));
    values.push_back(detail::zeros_as(source.layer(i).values()));
  }
  return edited(source, std::move(keys), std::move(values), {edit_kind::other, cache_half::both, {}, {}, {}, "zeros"});
}

namespace detail {

/// Layers whose keys stand alike, in groups of two or more: those that can be exchanged without a rotation that is not
/// theirs.
[[nodiscard]] inline std::vector<std::vector<std::int64_t>> exchangeable_layers(const cache_view<>& source) {
  std::vector<std::vector<std::int64_t>> groups;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    const auto alike = std::ranges::find_if(groups, [&](const std::vector<std::int64_t>& group) {
      const layer_view<>& first = source.layer(group.front());
      return (first.shared_frame() == source.layer(i).shared_frame() || first.frame() == source.layer(i).frame()) &&
             first.extents() == source.layer(i).extents();
    });
    if (alike == groups.end()) {
      groups.push_back({i});
    } else {
      alike->push_back(i);
    }
  }
  std::erase_if(groups, [](const std::vector<std::int64_t>& group) { return group.size() < 2; });
  return groups;
}

}  // namespace detail

/// Each layer with keys and values of another one: what is left of a cache when its layers do not meet those that wrote
/// them. Layers are exchanged among those that rotate alike; one without its like stays as it is.
/// @throws value_error where no layer has its like
[[nodiscard]] inline cache with_shuffled_layers(const cache_view<>& source, std::uint64_t seed) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    keys.push_back(source.layer(i).keys());
    values.push_back(source.layer(i).values());
  }
  const auto groups = detail::exchangeable_layers(source);
  require<value_error>(!groups.empty(), "with_shuffled_layers", "layers", "two that rotate alike",
                       fmt::format("{} that do not", source.layers()));
  std::vector<std::int64_t> moved;
  for (const std::vector<std::int64_t>& group : groups) {
    const std::vector<std::int64_t> order = shuffled_cycle(static_cast<std::int64_t>(group.size()), seed);
    for (std::size_t i = 0; i < group.size(); ++i) {
      const std::int64_t from = group[static_cast<std::size_t>(order[i])];
      keys[static_cast<std::size_t>(group[i])] = source.layer(from).keys();
      values[static_cast<std::size_t>(group[i])] = source.layer(from).values();
      moved.push_back(group[i]);
    }
  }
  std::ranges::sort(moved);
  return edited(
      source, std::move(keys), std::move(values),
      {edit_kind::mixture, cache_half::both, std::move(moved), {}, {}, fmt::format("its other layers, seed {}", seed)});
}

/// Each KV head of each layer with keys and values of another one of that layer.
/// @throws value_error where a layer has a single head, frame_error where heads have positions of their own
[[nodiscard]] inline cache with_shuffled_heads(const cache_view<>& source, std::uint64_t seed) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    const layer_view<>& layer = source.layer(i);
    const std::int64_t heads = layer.extents().kv_heads;
    require<value_error>(heads > 1, "with_shuffled_heads", "heads", "two or more", fmt::format("{}", heads));
    require<frame_error>(layer.frame().positions.heads() == 1, "with_shuffled_heads", "positions",
                         "the same for all heads", "each head's own");
    const at::Tensor order =
        integer_tensor(shuffled_cycle(heads, seed + static_cast<std::uint64_t>(i)), layer.device());
    keys.push_back(layer.keys().index_select(1, order));
    values.push_back(layer.values().index_select(1, order));
  }
  return edited(source, std::move(keys), std::move(values),
                {edit_kind::mixture, cache_half::both, {}, {}, {}, fmt::format("its other heads, seed {}", seed)});
}

/// The same slots in another order, each with its position: where a key lies in memory is nothing that a query sees, so
/// that this changes nothing but the order of sums.
[[nodiscard]] inline cache with_shuffled_slots(const cache_view<>& source, std::uint64_t seed) {
  return gather(source, shuffled_cycle(source.size(), seed));
}

}  // namespace kvtransfer
