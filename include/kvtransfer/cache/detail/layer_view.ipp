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

KVTRANSFER_INLINE void require_keys_stored(const position_map& positions, const layouts::slot_table& slots,
                                           std::string_view where) {
  for (const auto& [batch, left_out] : slots.unstored()) {
    for (std::int64_t head = 0; head < positions.heads(); ++head) {
      if (positions.row(0, batch, head).slice(left_out.begin, left_out.end()).key_count() > 0) {
        fail<frame_error>(where, "positions", "padding where the layout stores nothing",
                          fmt::format("a key of sequence {} in slots [{}, {})", batch, left_out.begin, left_out.end()));
      }
    }
  }
}

}  // namespace kvtransfer::detail
