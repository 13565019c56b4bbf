#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/detail/moved_frame.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE cache_frame shifted(const cache_frame& frame, std::int64_t delta) {
  return frame.transform([=](const layer_frame& layer) { return layer.shifted(delta); });
}

KVTRANSFER_INLINE cache_frame rounded(const cache_frame& stored, const cache_frame& target) {
  return target.combine(stored, [](layer_frame to, const layer_frame& from) {
    to.roundings = from.roundings + (to == from ? 0 : 1);
    return to;
  });
}

KVTRANSFER_INLINE void require_heads(const position_map& positions, std::int64_t kv_heads, std::string_view where) {
  if (positions.heads() != 1 && positions.heads() != kv_heads) {
    fail<shape_error>(where, "positions", fmt::format("kv_heads = {} or 1", kv_heads),
                      fmt::format("{} heads", positions.heads()));
  }
}

KVTRANSFER_INLINE cache_frame remapped(const cache_frame& frame, const position_map& positions,
                                       std::string_view where) {
  return frame.transform([&](const layer_frame& layer) {
    const position_map& old = layer.positions;
    if (positions.size() != old.size() || positions.batch() != old.batch() || positions.streams() != old.streams()) {
      fail<shape_error>(
          where, "positions", fmt::format("[streams={}, batch={}, seq={}]", old.streams(), old.batch(), old.size()),
          fmt::format("[streams={}, batch={}, seq={}]", positions.streams(), positions.batch(), positions.size()));
    }
    return layer.with_positions(positions.with_states_of(old));
  });
}

KVTRANSFER_INLINE cache_frame without_gaps(const cache_frame& frame, std::int64_t first, std::string_view where) {
  return frame.transform([&](const layer_frame& layer) {
    require<frame_error>(layer.positions.streams() == 1, where, "positions", "one stream", "several");
    return layer.with_positions(layer.positions.transform([&](const position_row& row) {
      std::int64_t next = first;
      return row.transform([&](position_run run) {
        run.first = next;
        run.step = 1;
        next += run.count;
        return run;
      });
    }));
  });
}

KVTRANSFER_INLINE cache_frame unrotated(const cache_frame& frame, std::string_view where) {
  return frame.transform([&](const layer_frame& layer) {
    layer_frame changed = layer.with_states([&](slot_state state) {
      require<frame_error>(state.is_rotated(), where, "keys", "rotated keys", "keys that were never rotated");
      return slot_state::unrotated();
    });
    changed.specifications.clear();
    return changed;
  });
}

KVTRANSFER_INLINE cache_frame rotated(const cache_frame& frame, const std::vector<rotary_specification>& specifications,
                                      std::string_view where) {
  return restated(frame, specifications, where, [&](slot_state state) {
    require<frame_error>(state.is_unrotated(), where, "keys", "keys without rotation", "rotated keys");
  });
}

KVTRANSFER_INLINE cache_frame reframed(const cache_frame& frame,
                                       const std::vector<rotary_specification>& specifications,
                                       std::string_view where) {
  return restated(frame, specifications, where, [&](slot_state state) {
    require<frame_error>(state.is_rotated(), where, "keys", "rotated keys", "keys that were never rotated");
  });
}

}  // namespace kvtransfer::detail
