#pragma once

#include <cstdint>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"

namespace kvtransfer {

/// `count` numbers from 0 on in an order drawn from `seed` that leaves none in its place: one cycle through all of
/// them. Source: Sattolo's algorithm.
[[nodiscard]] std::vector<std::int64_t> shuffled_cycle(std::int64_t count, std::uint64_t seed);

/// Zeros in `source`'s shape and frame, with the edit on its list: slots that are there and say nothing. A key of zeros
/// is attended to like any whose product with the query is 0.
[[nodiscard]] cache zeros_like(const cache_view<>& source);

namespace detail {

/// Layers whose keys stand alike, in groups of two or more: those that can be exchanged without a rotation that is not
/// theirs.
[[nodiscard]] std::vector<std::vector<std::int64_t>> exchangeable_layers(const cache_view<>& source);

}  // namespace detail

/// Each layer with keys and values of another one: what is left of a cache when its layers do not meet those that wrote
/// them. Layers are exchanged among those that rotate alike; one without its like stays as it is.
/// @throws value_error where no layer has its like
[[nodiscard]] cache with_shuffled_layers(const cache_view<>& source, std::uint64_t seed);

/// Each KV head of each layer with keys and values of another one of that layer.
/// @throws value_error where a layer has a single head, frame_error where heads have positions of their own
[[nodiscard]] cache with_shuffled_heads(const cache_view<>& source, std::uint64_t seed);

/// The same slots in another order, each with its position: where a key lies in memory is nothing that a query sees, so
/// that this changes nothing but the order of sums.
[[nodiscard]] cache with_shuffled_slots(const cache_view<>& source, std::uint64_t seed);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/detail/controls.ipp"  // IWYU pragma: export
#endif
