#pragma once

#include <cstdint>
#include <vector>

#include "kvtransfer/cache/select_heads.hpp"
#include "kvtransfer/core/compiled.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE layer_frame frame_of_heads(const layer_frame& layer, const std::vector<std::int64_t>& heads) {
  const position_map& positions = layer.positions;
  if (positions.heads() == 1) {
    return layer;
  }
  const auto rows = [&](std::int64_t stream, std::int64_t batch, std::int64_t index) {
    return positions.row(stream, batch, heads[static_cast<std::size_t>(index)]);
  };
  const auto count = static_cast<std::int64_t>(heads.size());
  return layer.with_positions(position_map::of_rows(positions.streams(), positions.batch(), count, rows));
}

}  // namespace kvtransfer::detail
