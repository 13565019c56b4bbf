#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/edited.hpp"
#include "kvtransfer/cache/gather.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/controls.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE std::vector<std::int64_t> shuffled_cycle(std::int64_t count, std::uint64_t seed) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  std::mt19937_64 draw(seed);
  for (std::size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[draw() % (i - 1)]);
  }
  return order;
}

KVTRANSFER_INLINE cache zeros_like(const cache_view<>& source) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    keys.push_back(detail::zeros_as(source.layer(i).keys()));
    values.push_back(detail::zeros_as(source.layer(i).values()));
  }
  return edited(source, std::move(keys), std::move(values), {edit_kind::other, cache_half::both, {}, {}, {}, "zeros"});
}

}  // namespace kvtransfer

namespace kvtransfer::detail {

KVTRANSFER_INLINE std::vector<std::vector<std::int64_t>> exchangeable_layers(const cache_view<>& source) {
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

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE cache with_shuffled_layers(const cache_view<>& source, std::uint64_t seed) {
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

KVTRANSFER_INLINE cache with_shuffled_heads(const cache_view<>& source, std::uint64_t seed) {
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

KVTRANSFER_INLINE cache with_shuffled_slots(const cache_view<>& source, std::uint64_t seed) {
  return gather(source, shuffled_cycle(source.size(), seed));
}

}  // namespace kvtransfer
