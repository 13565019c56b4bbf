#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/layer_pairs.hpp"
#include "kvtransfer/cache/detail/view_access.hpp"
#include "kvtransfer/cache/detail/writings.hpp"  // IWYU pragma: export
#include "kvtransfer/cache/position_overlap.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer {

namespace detail {

/// @throws shape_error unless two caches have as many layers; frame_error unless one model wrote both
void require_same_origin(const cache_frame& first, const cache_frame& second);

/// The frame of two caches one behind the other.
/// @throws frame_error where rotary specifications differ, or positions overlap without leave; shape_error where
/// streams do
cache_frame joined_frames(const cache_frame& first, const cache_frame& second, position_overlap overlap);

}  // namespace detail

/// A new cache with the slots of `first` followed by those of `second`, layer by layer. Nothing is moved, and moves
/// that are pending stay so; it is the target positions that have to fit.
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
    require_joinable(detail::view_access::key_storage(first.layer(i)),
                     detail::view_access::key_storage(second.layer(i)), "keys of second");
    require_joinable(first.layer(i).value_storage(), second.layer(i).value_storage(), "values of second");
  }
  const detail::moving_frames& mine = detail::view_access::frames(first);
  const detail::moving_frames& theirs = detail::view_access::frames(second);
  const cache_frame target = detail::joined_frames(mine.target, theirs.target, overlap);
  const detail::moving_frames joined = mine.is_settled() && theirs.is_settled()
                                           ? detail::moving_frames::settled(target)
                                           : detail::moving_frames{mine.stored.followed_by(theirs.stored), target,
                                                                   mine.is_settled() ? theirs.moved : mine.moved};
  auto [keys, values] = detail::keys_and_values_of(first.layers(), [&](std::int64_t i) {
    return std::pair(detail::joined({detail::view_access::canonical_keys(first.layer(i)),
                                     detail::view_access::canonical_keys(second.layer(i))},
                                    2),
                     detail::joined({first.layer(i).values(), second.layer(i).values()}, 2));
  });
  return detail::cache_access::of(std::move(keys), std::move(values), joined);
}

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/concat.ipp"  // IWYU pragma: export
#endif
