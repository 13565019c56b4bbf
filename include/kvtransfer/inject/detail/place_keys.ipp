#pragma once

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/detail/aligned.hpp"
#include "kvtransfer/inject/injection.hpp"
#include "kvtransfer/inject/place_keys.hpp"

namespace kvtransfer::place {

KVTRANSFER_INLINE injection closed::apply(const injection& what) const {
  injection changed = what;
  changed.kv = detail::moved_by(
      what.kv, [](const cache_frame& frame) { return detail::without_gaps(frame, 0, "place::closed"); });
  changed.reach = detail::furthest_rows(changed.kv);
  return changed;
}

KVTRANSFER_INLINE injection shift::apply(const injection& what) const {
  injection changed = what;
  changed.kv = detail::moved_by(what.kv, [&](const cache_frame& frame) { return detail::shifted(frame, positions); });
  return changed;
}

KVTRANSFER_INLINE injection unrotated::apply(const injection& what) const {
  injection changed = what;
  changed.kv = detail::moved_by(what.kv, [](const cache_frame& frame) {
    return frame.transform([](const layer_frame& layer) {
      return layer.with_positions(layer.positions.transform([](const position_row& row) {
        return row.transform([](position_run run) { return position_run{0, run.count, 0, run.state}; });
      }));
    });
  });
  return changed;
}

}  // namespace kvtransfer::place
