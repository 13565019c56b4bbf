#pragma once

#include <cstdint>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"

namespace kvtransfer {

namespace detail {

/// @throws shape_error unless one layer's values can stand beside the other's keys, slot by slot
void require_same_slots(const layer_view<>& keys_from, const layer_view<>& values_from, std::int64_t layer);

/// The edits of a half, told as edits of that half.
std::vector<cache_edit> edits_of_half(const cache_frame& frame, cache_half half);

}  // namespace detail

/// The keys of one cache with the values of another, slot by slot, without a copy: what is left of a transfer when only
/// the addresses, or only the contents, are transplanted. Keys decide where a slot stands, so the frame is theirs;
/// token ids are known only where both caches hold the same text, and the values of another cache are an edit. The
/// mixture is `assumed` if either half is.
/// @throws shape_error unless both have the same layers and slots; frame_error unless one model wrote both, with
/// padding at the
///         same slots
cache_view<> keys_with_values_of(const cache_view<>& keys_from, const cache_view<>& values_from);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/halves.ipp"  // IWYU pragma: export
#endif
