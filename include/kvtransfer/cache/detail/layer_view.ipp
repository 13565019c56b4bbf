#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string_view>

#include "kvtransfer/cache/layer_view.hpp"
#include "kvtransfer/core/cache_extents.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/tensor/canonical.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE void require_padding(const position_map& positions, std::int64_t batch, std::int64_t begin,
                                       std::int64_t end, std::string_view where) {
  for (std::int64_t head = 0; head < positions.heads() && begin < end; ++head) {
    if (positions.row(0, batch, head).slice(begin, end).key_count() > 0) {
      fail<frame_error>(where, "positions", "padding where the layout stores nothing",
                        fmt::format("a key of sequence {} in slots [{}, {})", batch, begin, end));
    }
  }
}

KVTRANSFER_INLINE void require_keys_stored(const position_map& positions, const layouts::slot_table& slots,
                                           std::string_view where) {
  std::int64_t batch = 0;
  std::int64_t stored_up_to = 0;
  const auto finish_rows_before = [&](std::int64_t next) {
    for (; batch < next; ++batch) {
      require_padding(positions, batch, stored_up_to, positions.size(), where);
      stored_up_to = 0;
    }
  };
  for (const layouts::slot_span& span : slots.spans()) {
    finish_rows_before(span.batch);
    require_padding(positions, batch, stored_up_to, span.begin, where);
    stored_up_to = span.begin + span.count;
  }
  finish_rows_before(positions.batch());
}

}  // namespace kvtransfer::detail
