#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_origin.hpp"
#include "kvtransfer/core/alike.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer {

/// The frame that a model's own cache would have at `positions`: what a projection into a cache that the receiver never
/// wrote is to stand in.
/// @param specifications one per layer of the receiver
/// @param positions of every slot, rotated or padding
/// @param receiver whose cache the result will be taken for
/// @param token_ids one row per sequence, -1 for padding; empty where the text is not known
/// @throws shape_error where positions and ids do not fit
[[nodiscard]] inline cache_frame receiver_frame(const std::vector<rotary_specification>& specifications,
                                                const position_map& positions, cache_origin receiver,
                                                cache_frame::token_rows token_ids = {}) {
  cache_frame frame(make_for_alike(
      specifications.size(), [&](std::size_t a, std::size_t b) { return specifications[a] == specifications[b]; },
      [&](std::size_t i) -> cache_frame::shared_layer {
        return std::make_shared<const layer_frame>(layer_frame{positions, {specifications[i]}});
      }));
  frame.set_origin(std::move(receiver));
  frame.set_token_ids(std::move(token_ids));
  return frame;
}

}  // namespace kvtransfer
