#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/cache/position_overlap.hpp"
#include "kvtransfer/core/compiled.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE std::vector<std::vector<std::int64_t>> places_of_slots(const position_map& map, std::int64_t batch,
                                                                         std::int64_t head) {
  std::vector<std::vector<std::int64_t>> places(static_cast<std::size_t>(map.size()));
  for (std::int64_t stream = 0; stream < map.streams(); ++stream) {
    std::size_t slot = 0;
    for (const position_run& key : map.row(stream, batch, head).one_run_per_slot()) {
      if (!key.state.is_padding()) {
        places[slot].push_back(key.first);
      }
      ++slot;
    }
  }
  return places;
}

KVTRANSFER_INLINE void require_apart(const layer_frame& first, const layer_frame& second, std::string_view where) {
  require_apart(first, second, where, [](std::int64_t, std::int64_t, std::int64_t) { return true; });
}

}  // namespace kvtransfer::detail
