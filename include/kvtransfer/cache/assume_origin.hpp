#pragma once

#include <utility>

#include "kvtransfer/cache/cache_origin.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/view_access.hpp"
#include "kvtransfer/cache/model_identity.hpp"

namespace kvtransfer {

namespace detail {

/// `source` with another origin: `assume(origin) -> cache_origin`. Nothing else changes, a pending move included.
template <LayerLayout Layout, class Assume>
[[nodiscard]] cache_view<Layout> with_assumed_origin(const cache_view<Layout>& source, Assume&& assume) {
  moving_frames frames = view_access::frames(source);
  frames.edit([&](cache_frame& frame) { frame.set_origin(assume(frame.origin())); });
  return view_access::reread(source, std::move(frames));
}

}  // namespace detail

/// The same tensors, taken for a cache of `model`, which another storage of its weights wrote: in other types, or
/// quantized. What was written by one and is read by the other says so from then on.
/// @throws frame_error where the origin is unknown, or more than the storage differs: see `assume_same_weights` of an
/// origin
template <LayerLayout Layout>
[[nodiscard]] cache_view<Layout> assume_same_weights(const cache_view<Layout>& source, const model_identity& model) {
  return detail::with_assumed_origin(source,
                                     [&](const cache_origin& origin) { return assume_same_weights(origin, model); });
}

/// The same tensors, of which nobody knows who wrote them, taken for a cache of `model`; it says so from then on.
/// @throws frame_error where the origin is known
template <LayerLayout Layout>
[[nodiscard]] cache_view<Layout> assume_unknown_origin(const cache_view<Layout>& source, const model_identity& model) {
  return detail::with_assumed_origin(source,
                                     [&](const cache_origin& origin) { return assume_unknown_origin(origin, model); });
}

}  // namespace kvtransfer
