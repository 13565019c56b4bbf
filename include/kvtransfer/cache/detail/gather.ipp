#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/cache/gather.hpp"
#include "kvtransfer/cache/position_overlap.hpp"
#include "kvtransfer/cache/slot_choice.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE at::Tensor chosen(const at::Tensor& tensor, const slot_choice& slots) {
  if (!slots.by_sequence() && !slots.by_head() && !slots.has_padding()) {
    return tensor.index_select(2, slots.tensor().flatten().to(tensor.device()));
  }
  if (tensor.size(2) == 0) {  // nothing but padding can be chosen
    return tensor.new_zeros({tensor.size(0), tensor.size(1), slots.count(), tensor.size(3)});
  }
  const at::Tensor head_row = counted(0, tensor.size(0) * tensor.size(1), tensor.device());
  const at::Tensor rows = head_row.view({tensor.size(0), tensor.size(1), 1})
                              .mul(tensor.size(2))
                              .add(slots.tensor().clamp_min(0).to(tensor.device()));
  const at::Tensor found = tensor.flatten(0, 2)
                               .index_select(0, rows.flatten())
                               .view({tensor.size(0), tensor.size(1), slots.count(), tensor.size(3)});
  return slots.has_padding() ? found.masked_fill(slots.tensor().lt(0).unsqueeze(-1).to(tensor.device()), 0) : found;
}

KVTRANSFER_INLINE position_row chosen(const position_row& row, const slot_choice& slots, std::int64_t batch,
                                      std::int64_t head) {
  const std::vector<position_run> singles = row.one_run_per_slot();
  position_row picked;
  for (std::int64_t i = 0; i < slots.count(); ++i) {
    const std::int64_t slot = slots.at(batch, head, i);
    picked.append(slot < 0 ? position_run{0, 1, 0, slot_state::padding()} : singles[static_cast<std::size_t>(slot)]);
  }
  return picked;
}

KVTRANSFER_INLINE layer_frame chosen(const layer_frame& layer, const slot_choice& slots) {
  const position_map& positions = layer.positions;
  const std::int64_t heads = positions.heads() > slots.heads() ? positions.heads() : slots.heads();
  const auto rows = [&](std::int64_t stream, std::int64_t batch, std::int64_t head) {
    return chosen(positions.row(stream, batch, head), slots, batch, head);
  };
  return layer.with_positions(position_map::of_rows(positions.streams(), positions.batch(), heads, rows));
}

KVTRANSFER_INLINE std::vector<std::vector<std::int64_t>> chosen(const std::vector<std::vector<std::int64_t>>& token_ids,
                                                                const slot_choice& slots) {
  std::vector<std::vector<std::int64_t>> picked;
  for (std::size_t b = 0; b < token_ids.size() && !slots.by_head(); ++b) {
    picked.emplace_back();
    for (std::int64_t i = 0; i < slots.count(); ++i) {
      const std::int64_t slot = slots.at(static_cast<std::int64_t>(b), 0, i);
      picked.back().push_back(slot < 0 ? -1 : token_ids[b][static_cast<std::size_t>(slot)]);
    }
  }
  return picked;
}

KVTRANSFER_INLINE void require_not_doubled(const slot_choice& slots, position_overlap overlap) {
  if (const auto doubled = slots.first_doubled(); doubled && overlap == position_overlap::refused) {
    fail<frame_error>("gather", "slots", "each slot once, as two keys would stand at one position (or allow overlap)",
                      fmt::format("slot {} twice", *doubled));
  }
}

}  // namespace kvtransfer::detail
