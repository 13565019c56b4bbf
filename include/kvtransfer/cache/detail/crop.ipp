#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kvtransfer/cache/crop.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE position_row first_keys(const position_row& row, std::int64_t count) {
  position_row kept;
  for (position_run run : row.runs()) {
    if (run.state.is_padding()) {
      kept.append(run);
      continue;
    }
    const std::int64_t taken = std::min(run.count, count);
    kept.append({run.first, taken, run.step, run.state});
    kept.append({0, run.count - taken, 0, slot_state::padding()});
    count -= taken;
  }
  return kept;
}

KVTRANSFER_INLINE std::int64_t end_of_keys(const position_row& row) {
  std::int64_t slot = 0;
  std::int64_t end = 0;
  for (const position_run& run : row.runs()) {
    slot += run.count;
    end = run.state.is_padding() ? end : slot;
  }
  return end;
}

KVTRANSFER_INLINE layer_frame first_keys_of_rows(const layer_frame& layer, const std::vector<std::int64_t>& counts) {
  const position_map& positions = layer.positions;
  require_count<shape_error>(counts.size(), positions.batch(), "crop", "lengths", "{} rows");
  const auto rows = [&](std::int64_t stream, std::int64_t batch, std::int64_t head) {
    return first_keys(positions.row(stream, batch, head), counts[static_cast<std::size_t>(batch)]);
  };
  return layer.with_positions(position_map::of_rows(positions.streams(), positions.batch(), positions.heads(), rows));
}

KVTRANSFER_INLINE layer_tokens token_ids_of_keys(const cache_frame& frame) {
  const auto in_one_frame = [&](std::size_t a, std::size_t b) { return frame.layers_share(a, b); };
  return frame.tokens().transform(in_one_frame, [&](const layer_tokens::token_rows& rows, std::size_t layer) {
    const position_map& positions = frame.layer(static_cast<std::int64_t>(layer)).positions;
    layer_tokens::token_rows ids;
    for (const std::vector<std::int64_t>& row : rows) {
      std::vector<std::int64_t>& known = ids.emplace_back(row.size(), -1);
      for (std::int64_t head = 0; head < positions.heads(); ++head) {
        std::size_t slot = 0;
        for (const position_run& run :
             positions.row(0, static_cast<std::int64_t>(ids.size()) - 1, head).one_run_per_slot()) {
          known[slot] = run.state.is_padding() ? known[slot] : row[slot];
          ++slot;
        }
      }
    }
    return ids;
  });
}

}  // namespace kvtransfer::detail
