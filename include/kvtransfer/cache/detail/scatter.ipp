#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "kvtransfer/cache/detail/edit_slots.hpp"
#include "kvtransfer/cache/position_overlap.hpp"
#include "kvtransfer/cache/scatter.hpp"
#include "kvtransfer/cache/slot_choice.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE void require_scatterable(const layouts::storage& destination, const layouts::storage& source,
                                           std::int64_t count) {
  require_extents(source.extents(), source.blocks.scalar_type(), destination.extents().with_seq(count),
                  destination.blocks.scalar_type(), "scatter", "source");
  require_same_device(destination.blocks, source.blocks, "scatter", "source");
}

KVTRANSFER_INLINE at::Tensor with_slots(const at::Tensor& into, const at::Tensor& tensor, const slot_choice& slots) {
  const at::Tensor all = slots.tensor().expand({into.size(0), into.size(1), -1}).to(into.device());
  const at::Tensor from = all.ge(0).flatten().nonzero().flatten();  // the entries that are no padding
  const at::Tensor to = from.floor_divide(slots.count()).mul(into.size(2)).add(all.reshape(-1).index_select(0, from));
  const at::Tensor rows = copyable(into.flatten(0, 2));
  const at::Tensor mixed = rows.index_copy(0, to, copyable(tensor.flatten(0, 2).index_select(0, from)));
  return (mixed.scalar_type() == into.scalar_type() ? mixed : mixed.view(into.scalar_type())).view(into.sizes());
}

KVTRANSFER_INLINE layer_frame with_slots(const layer_frame& into, const layer_frame& source, const slot_choice& slots) {
  layer_frame mixed = into;
  const position_map added = mixed.renumbered(source);
  const position_map& old = into.positions;
  const std::int64_t heads = std::max({old.heads(), added.heads(), slots.heads()});
  const auto rows = [&](std::int64_t stream, std::int64_t batch, std::int64_t head) {
    std::vector<position_run> keys = old.row(stream, batch, head).one_run_per_slot();
    const std::vector<position_run> written = added.row(stream, batch, head).one_run_per_slot();
    for (std::int64_t i = 0; i < slots.count(); ++i) {
      if (const std::int64_t slot = slots.at(batch, head, i); slot >= 0) {
        keys[static_cast<std::size_t>(slot)] = written[static_cast<std::size_t>(i)];
      }
    }
    position_row row;
    for (const position_run& key : keys) {
      row.append(key);
    }
    return row;
  };
  mixed.roundings = std::max(mixed.roundings, source.roundings);
  mixed.positions = position_map::of_rows(old.streams(), old.batch(), heads, rows);
  return mixed;
}

KVTRANSFER_INLINE layer_frame left_out(const layer_frame& source, const slot_choice& slots) {
  const position_map& positions = source.positions;
  std::vector<position_row> rows;
  for (std::int64_t stream = 0; stream < positions.streams(); ++stream) {
    for (std::int64_t batch = 0; batch < positions.batch(); ++batch) {
      for (std::int64_t head = 0; head < positions.heads(); ++head) {
        position_row& row = rows.emplace_back();
        std::int64_t i = 0;
        for (const position_run& key : positions.row(stream, batch, head).one_run_per_slot()) {
          row.append(slots.at(batch, head, i++) < 0 ? position_run{0, 1, 0, slot_state::padding()} : key);
        }
      }
    }
  }
  return source.with_positions(
      position_map(positions.streams(), positions.batch(), positions.heads(), std::move(rows)));
}

KVTRANSFER_INLINE void require_apart_from_kept(const layer_frame& into, const layer_frame& source,
                                               const slot_choice& slots) {
  std::set<std::array<std::int64_t, 3>> replaced;
  const position_map& positions = into.positions;
  const std::int64_t heads = std::max({positions.heads(), source.positions.heads(), slots.heads()});
  for (std::int64_t batch = 0; batch < positions.batch(); ++batch) {
    for (std::int64_t head = 0; head < heads; ++head) {
      for (std::int64_t i = 0; i < slots.count(); ++i) {
        replaced.insert({batch, head, slots.at(batch, head, i)});
      }
    }
  }
  layer_frame written = source;
  written.positions = written.positions.with_heads(std::max(source.positions.heads(), heads));
  layer_frame kept = into;
  kept.positions = kept.positions.with_heads(heads);
  require_apart(kept, left_out(written, slots), "scatter",
                [&](std::int64_t batch, std::int64_t head, std::int64_t slot) {
                  return !replaced.contains({batch, head, slot});
                });
}

KVTRANSFER_INLINE std::vector<std::vector<std::int64_t>> with_slots(
    std::vector<std::vector<std::int64_t>> ids, const std::vector<std::vector<std::int64_t>>& source,
    const slot_choice& slots) {
  if (ids.size() != source.size() || slots.by_head()) {
    return {};
  }
  for (std::size_t b = 0; b < ids.size(); ++b) {
    for (std::int64_t i = 0; i < slots.count(); ++i) {
      if (const std::int64_t slot = slots.at(static_cast<std::int64_t>(b), 0, i); slot >= 0) {
        ids[b][static_cast<std::size_t>(slot)] = source[b][static_cast<std::size_t>(i)];
      }
    }
  }
  return ids;
}

KVTRANSFER_INLINE std::vector<slot_range> ranges_of(const slot_choice& slots) {
  const std::int64_t* all = slots.tensor().const_data_ptr<std::int64_t>();
  std::vector<slot_range> ranges;
  for (std::int64_t i = 0; i < slots.tensor().numel(); ++i) {
    ranges.push_back({all[i], all[i] < 0 ? 0 : 1});
  }
  return joined_ranges(std::move(ranges));
}

KVTRANSFER_INLINE std::vector<cache_edit> edits_with_slots(const cache_frame& into, const cache_frame& source,
                                                           const slot_choice& slots) {
  const std::vector<slot_range> replaced = ranges_of(slots);
  if (replaced.empty()) {
    return into.edits();
  }
  std::vector<cache_edit> edits = into.edits();
  if (!slots.by_sequence() && !slots.by_head()) {
    edits = edits_in_slots(
        edits, [&](std::int64_t, const std::vector<slot_range>& ranges) { return without_ranges(ranges, replaced); });
  }
  std::vector<cache_edit> brought = edits_in_slots(source.edits(), [&](std::int64_t, const auto& ranges) {
    const std::int64_t* all = slots.tensor().const_data_ptr<std::int64_t>();
    std::vector<slot_range> reached;
    for (std::int64_t i = 0; i < slots.tensor().numel(); ++i) {
      if (all[i] >= 0 && holds_slot(ranges, i % slots.count())) {
        reached.push_back({all[i], 1});
      }
    }
    return reached;
  });
  edits.insert(edits.end(), brought.begin(), brought.end());
  edits.push_back({edit_kind::mixture, cache_half::both, {}, {}, replaced, origin_text(source)});
  return edits;
}

}  // namespace kvtransfer::detail
