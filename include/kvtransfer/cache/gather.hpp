#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/edit_slots.hpp"
#include "kvtransfer/cache/position_overlap.hpp"
#include "kvtransfer/cache/slot_choice.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

namespace detail {

/// The chosen slots of `tensor` as `[batch, kv_heads, n, head_dim]`, zeros for padding.
[[nodiscard]] at::Tensor chosen(const at::Tensor& tensor, const slot_choice& slots);

/// The chosen slots of one row and head.
[[nodiscard]] position_row chosen(const position_row& row, const slot_choice& slots, std::int64_t batch,
                                  std::int64_t head);

/// The frame of the chosen slots; with an entry per head where the choice differs by head.
[[nodiscard]] layer_frame chosen(const layer_frame& layer, const slot_choice& slots);

/// The token of each chosen slot, -1 for padding; nothing where heads choose for themselves, so that a slot has no one
/// token.
[[nodiscard]] std::vector<std::vector<std::int64_t>> chosen(const std::vector<std::vector<std::int64_t>>& token_ids,
                                                            const slot_choice& slots);

/// @throws frame_error where a row and head is to have one slot twice, unless that is allowed
void require_not_doubled(const slot_choice& slots, position_overlap overlap);

/// The edits that the chosen slots carry: a slot is edited if it is in any row or head.
/// @param choice `const slot_choice&(layer)`
template <class Choice>
[[nodiscard]] std::vector<cache_edit> chosen(const std::vector<cache_edit>& edits, Choice&& choice) {
  return edits_in_slots(edits, [&](std::int64_t layer, const std::vector<slot_range>& ranges) {
    const slot_choice& slots = choice(layer);
    const std::int64_t* all = slots.tensor().const_data_ptr<std::int64_t>();
    std::vector<slot_range> edited;
    for (std::int64_t i = 0; i < slots.tensor().numel(); ++i) {
      if (holds_slot(ranges, all[i])) {
        edited.push_back({i % slots.count(), 1});
      }
    }
    return edited;
  });
}

}  // namespace detail

/// A new cache with the chosen slots of every layer, in the order given; nothing is moved, and a move that is pending
/// stays so. Where the choice differs by
/// head, so do the positions from then on: eviction by head, as SnapKV and its kin do it.
/// @param slots one choice for all layers
/// @throws shape_error where a slot does not exist; frame_error where one is named twice, so that two keys would stand
/// at one position, without `position_overlap::allowed`
template <LayerLayout Layout>
[[nodiscard]] cache gather(const cache_view<Layout>& source, const slot_choice& slots,
                           position_overlap overlap = position_overlap::refused) {
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    slots.require_within(source.layer(i).extents(), "gather");
  }
  detail::require_not_doubled(slots, overlap);
  const auto choose = [&](const cache_frame& all) {
    cache_frame frame = all.transform([&](const layer_frame& layer) { return detail::chosen(layer, slots); });
    frame.set_tokens(all.tokens().transform([&](const auto& rows) { return detail::chosen(rows, slots); }));
    frame.set_edits(detail::chosen(all.edits(), [&](std::int64_t) -> const slot_choice& { return slots; }));
    return frame;
  };
  return detail::rebuilt(source, detail::view_access::frames(source).transform(choose),
                         [&](const at::Tensor& tensor, std::int64_t) { return detail::chosen(tensor, slots); });
}

/// The same with each layer's own choice.
/// @param slots one choice per layer
template <LayerLayout Layout>
[[nodiscard]] cache gather(const cache_view<Layout>& source, const std::vector<slot_choice>& slots,
                           position_overlap overlap = position_overlap::refused) {
  require_count<shape_error>(slots.size(), source.layers(), "gather", "slots", "one choice for each of {} layers");
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    slots[static_cast<std::size_t>(i)].require_within(source.layer(i).extents(), "gather");
    detail::require_not_doubled(slots[static_cast<std::size_t>(i)], overlap);
  }
  const auto choose = [&](const cache_frame& all) {
    std::vector<cache_frame::shared_layer> layers;
    for (std::int64_t i = 0; i < all.layers(); ++i) {
      layers.push_back(
          std::make_shared<const layer_frame>(detail::chosen(all.layer(i), slots[static_cast<std::size_t>(i)])));
    }
    cache_frame frame = all.with_layers(std::move(layers));
    frame.set_tokens(all.tokens().transform(
        [&](std::size_t a, std::size_t b) { return slots[a].tensor().is_same(slots[b].tensor()); },
        [&](const auto& rows, std::size_t layer) { return detail::chosen(rows, slots[layer]); }));
    frame.set_edits(detail::chosen(
        all.edits(), [&](std::int64_t layer) -> const slot_choice& { return slots[static_cast<std::size_t>(layer)]; }));
    return frame;
  };
  return detail::rebuilt(source, detail::view_access::frames(source).transform(choose),
                         [&](const at::Tensor& tensor, std::int64_t layer) {
                           return detail::chosen(tensor, slots[static_cast<std::size_t>(layer)]);
                         });
}

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/gather.ipp"  // IWYU pragma: export
#endif
