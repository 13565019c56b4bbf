#pragma once

#include <fmt/format.h>

#include "kvtransfer/cache/concat.hpp"
#include "kvtransfer/cache/detail/writings.hpp"
#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/cache/position_overlap.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE void require_same_origin(const cache_frame& first, const cache_frame& second) {
  require<shape_error>(first.layers() == second.layers(), "concat", "layers of second",
                       fmt::format("{}", first.layers()), fmt::format("{}", second.layers()));
  require_same_model(first.origin(), second.origin(), "concat", "model of second");
}

KVTRANSFER_INLINE cache_frame joined_frames(const cache_frame& first, const cache_frame& second,
                                            position_overlap overlap) {
  return first.followed_by(second, [&](const layer_frame& a, const layer_frame& b) {
    require<shape_error>(a.positions.streams() == b.positions.streams(), "concat", "positions of second",
                         fmt::format("{} streams", a.positions.streams()), fmt::format("{}", b.positions.streams()));
    require_same_writings(a, b, "concat");
    if (overlap == position_overlap::refused) {
      require_apart(a, b, "concat");
    }
  });
}

}  // namespace kvtransfer::detail
