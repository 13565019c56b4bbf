#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kvtransfer/cache/gather.hpp"
#include "kvtransfer/core/alike.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/inject/detail/compacted.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/tensor/integers.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE std::vector<std::int64_t> held_slots(const position_map& positions) {
  std::vector<char> held(static_cast<std::size_t>(positions.size()));
  for (const position_row& row : positions.rows()) {
    std::size_t slot = 0;
    for (const position_run& run : row.runs()) {
      for (std::int64_t i = 0; i < run.count; ++i) {
        held[slot] = static_cast<char>(held[slot] != 0 || !run.state.is_padding());
        ++slot;
      }
    }
  }
  std::vector<std::int64_t> slots;
  for (std::size_t slot = 0; slot < held.size(); ++slot) {
    if (held[slot] != 0) {
      slots.push_back(static_cast<std::int64_t>(slot));
    }
  }
  return slots;
}

KVTRANSFER_INLINE at::Tensor slots_of(const at::Tensor& tensor, const std::vector<std::int64_t>& slots) {
  if (slots.empty()) {
    return tensor.slice(2, 0, 0);
  }
  const auto count = static_cast<std::int64_t>(slots.size());
  return slots.back() - slots.front() + 1 == count ? tensor.slice(2, slots.front(), slots.front() + count)
                                                   : tensor.index_select(2, integer_tensor(slots, tensor.device()));
}

KVTRANSFER_INLINE std::vector<std::vector<segment>> compacted(const cache_view<>& source) {
  const auto count = static_cast<std::size_t>(source.layers());
  const cache_frame& whole = source.frame();
  const auto slots = make_for_alike(
      count, [&](std::size_t a, std::size_t b) { return whole.layers_share(a, b); },
      [&](std::size_t i) { return held_slots(whole.layer(static_cast<std::int64_t>(i)).positions); });
  const auto cut = [&](const cache_frame& all) {
    cache_frame frame = all.with_layers(make_for_alike(
        count, [&](std::size_t a, std::size_t b) { return all.layers_share(a, b) && slots[a] == slots[b]; },
        [&](std::size_t i) -> cache_frame::shared_layer {
          return std::make_shared<layer_frame>(all.layer(static_cast<std::int64_t>(i)).gather(slots[i]));
        }));
    frame.set_tokens(all.tokens().transform(
        [&](std::size_t a, std::size_t b) { return slots[a] == slots[b]; },
        [&](const auto& rows, std::size_t layer) { return chosen(rows, slot_choice(slots[layer])); }));
    frame.set_edits(edits_in_slots(all.edits(), [&](std::int64_t layer, const std::vector<slot_range>& ranges) {
      std::vector<slot_range> edited;
      const std::vector<std::int64_t>& kept = slots[static_cast<std::size_t>(layer)];
      for (std::size_t i = 0; i < kept.size(); ++i) {
        edited.push_back({static_cast<std::int64_t>(i), holds_slot(ranges, kept[i]) ? 1 : 0});
      }
      return edited;
    }));
    return frame;
  };
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::size_t i = 0; i < count; ++i) {
    const layer_view<>& layer = source.layer(static_cast<std::int64_t>(i));
    keys.push_back(slots_of(view_access::canonical_keys(layer), slots[i]));
    values.push_back(slots_of(layer.values(), slots[i]));
  }
  const cache_view<> left =
      view_access::view(keys, values, view_access::frames(source).transform(cut), layouts::batch_heads_seq_dim());
  std::vector<std::vector<segment>> layers(count);
  for (std::size_t i = 0; i < count; ++i) {
    if (!slots[i].empty()) {
      layers[i].emplace_back(left, static_cast<std::int64_t>(i));
    }
  }
  return layers;
}

}  // namespace kvtransfer::detail
