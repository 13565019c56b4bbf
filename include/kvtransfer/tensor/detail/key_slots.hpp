#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/core/slot_range.hpp"

namespace kvtransfer::layouts {

/// The slots of row `batch` that are not padding in every head, from left to right.
inline std::vector<slot_range> key_slots_of(const position_map& positions, std::int64_t batch) {
  std::vector<char> valid(static_cast<std::size_t>(positions.size()), 0);
  for (std::int64_t head = 0; head < positions.heads(); ++head) {
    auto slot = valid.begin();
    for (const position_run& run : positions.row(0, batch, head).runs()) {
      const auto end = slot + run.count;
      if (!run.state.is_padding()) {
        std::fill(slot, end, 1);
      }
      slot = end;
    }
  }
  std::vector<slot_range> found;
  for (std::int64_t slot = 0; slot < positions.size(); ++slot) {
    if (valid[static_cast<std::size_t>(slot)] == 0) {
      continue;
    }
    if (!found.empty() && found.back().end() == slot) {
      ++found.back().count;
    } else {
      found.push_back({slot, 1});
    }
  }
  return found;
}

}  // namespace kvtransfer::layouts
