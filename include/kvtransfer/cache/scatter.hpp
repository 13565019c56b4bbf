#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/layer_pairs.hpp"
#include "kvtransfer/cache/detail/view_access.hpp"
#include "kvtransfer/cache/detail/writings.hpp"
#include "kvtransfer/cache/position_overlap.hpp"
#include "kvtransfer/cache/slot_choice.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

namespace detail {

/// @throws shape_error, device_error unless slots of `source` can stand in `destination`
void require_scatterable(const layouts::storage& destination, const layouts::storage& source, std::int64_t count);

/// `into` with slot `slots[i]` of every row and head replaced by slot i of `tensor`. Both `[batch, kv_heads, seq,
/// head_dim]`.
at::Tensor with_slots(const at::Tensor& into, const at::Tensor& tensor, const slot_choice& slots);

/// The frame of `into` with the chosen slots replaced by those of `source`, whose specifications join the list.
layer_frame with_slots(const layer_frame& into, const layer_frame& source, const slot_choice& slots);

/// `source` with every slot that goes nowhere made padding. @param source with positions per head where `slots` are
layer_frame left_out(const layer_frame& source, const slot_choice& slots);

/// @throws frame_error where a key of `source` would stand at the position of a key of `into` that stays
void require_apart_from_kept(const layer_frame& into, const layer_frame& source, const slot_choice& slots);

/// Token ids with those of the chosen slots replaced; nothing unless both sides know theirs and heads choose alike.
std::vector<std::vector<std::int64_t>> with_slots(std::vector<std::vector<std::int64_t>> ids,
                                                  const std::vector<std::vector<std::int64_t>>& source,
                                                  const slot_choice& slots);

/// Every slot that `slots` names, as ranges.
std::vector<slot_range> ranges_of(const slot_choice& slots);

/// The edits of `into` with the chosen slots replaced by those of `source`, which is an edit too.
std::vector<cache_edit> edits_with_slots(const cache_frame& into, const cache_frame& source, const slot_choice& slots);

}  // namespace detail

/// A new cache: `into` with slot `slots[i]` of every layer replaced by slot i of `source`, key, value, position and
/// state. The inverse of `gather`, but that it is an edit. Nothing is moved; -1 leaves a slot of `source` out.
/// A move that is pending on either side stays so; it is the target positions that have to fit.
/// @param slots each slot at most once
/// @throws frame_error where rotary specifications or models differ, or a key would stand where one that stays does,
///         without `position_overlap::allowed`
/// @throws shape_error where layers, batch, heads, head_dim, dtype, streams or the number of slots differ; device_error
///         where they live apart
template <LayerLayout A, LayerLayout B>
cache scatter(const cache_view<A>& into, const slot_choice& slots, const cache_view<B>& source,
              position_overlap overlap = position_overlap::refused) {
  using detail::view_access;
  require<shape_error>(into.layers() == source.layers(), "scatter", "layers of source",
                       fmt::format("{}", into.layers()), fmt::format("{}", source.layers()));
  detail::require_same_model(into.frame().origin(), source.frame().origin(), "scatter", "model of source");
  if (const auto doubled = slots.first_doubled()) {
    fail<shape_error>("scatter", "slots", "each slot once", fmt::format("slot {} twice", *doubled));
  }
  for (std::int64_t i = 0; i < into.layers(); ++i) {
    const layer_view<A>& layer = into.layer(i);
    slots.require_within(layer.extents(), "scatter");
    detail::require_scatterable(view_access::key_storage(layer), view_access::key_storage(source.layer(i)),
                                slots.count());
    detail::require_scatterable(layer.value_storage(), source.layer(i).value_storage(), slots.count());
    require<shape_error>(layer.frame().positions.streams() == source.layer(i).frame().positions.streams(), "scatter",
                         "streams of source", formatted("{} in layer {}", layer.frame().positions.streams(), i),
                         formatted("{}", source.layer(i).frame().positions.streams()));
  }
  const auto check = [&](const layer_frame& a, const layer_frame& b) {
    detail::require_same_writings(a, b, "scatter");
    if (overlap == position_overlap::refused) {
      detail::require_apart_from_kept(a, b, slots);
    }
    return a;
  };
  (void)into.frame().combine(source.frame(), check);
  const detail::moving_frames frames = view_access::frames(into).combine(
      view_access::frames(source), [&](const cache_frame& mine, const cache_frame& theirs) {
        cache_frame mixed = mine.combine(
            theirs, [&](const layer_frame& a, const layer_frame& b) { return detail::with_slots(a, b, slots); });
        mixed.set_tokens(mine.tokens().combine(theirs.tokens(), [&](const auto& ours, const auto& others) {
          return detail::with_slots(ours, others, slots);
        }));
        mixed.set_edits(detail::edits_with_slots(mine, theirs, slots));
        mixed.set_origin(mine.origin().joined_with(theirs.origin()));
        if (theirs.assumed()) {
          mixed.set_assumed();
        }
        return mixed;
      });
  auto [keys, values] = detail::keys_and_values_of(into.layers(), [&](std::int64_t i) {
    return std::pair(detail::with_slots(view_access::canonical_keys(into.layer(i)),
                                        view_access::canonical_keys(source.layer(i)), slots),
                     detail::with_slots(into.layer(i).values(), source.layer(i).values(), slots));
  });
  return detail::cache_access::of(std::move(keys), std::move(values), frames);
}

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/scatter.ipp"  // IWYU pragma: export
#endif
