#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/position_row.hpp"
#include "kvtransfer/inject/injection.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE position_row furthest_row(const cache_frame& source, std::int64_t batch) {
  position_row furthest;
  std::optional<std::int64_t> last;
  for (std::int64_t layer = 0; layer < source.layers(); ++layer) {
    const position_map& positions = source.layer(layer).positions;
    for (std::int64_t stream = 0; stream < positions.streams(); ++stream) {
      for (std::int64_t head = 0; head < positions.heads(); ++head) {
        const position_row& row = positions.row(stream, batch, head);
        const std::optional<std::int64_t> reached = row.last_position();  // nothing is less than any position
        if (furthest.size() == 0 || reached > last) {
          furthest = row;
          last = reached;
        }
      }
    }
  }
  return furthest;
}

KVTRANSFER_INLINE std::vector<position_row> furthest_rows(const cache_view<>& source) {
  std::vector<position_row> rows;
  for (std::int64_t b = 0; b < source.batch(); ++b) {
    rows.push_back(furthest_row(source.frame(), b));
  }
  return rows;
}

}  // namespace kvtransfer::detail
