#pragma once

#include <cstdint>
#include <string_view>

#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"

namespace kvtransfer::detail {

/// Refuses keys that were not rotated as `own` rotates its own, bit for bit: at some length, where that depends on a
/// text's length, since caches keep keys of a text that grew.
/// @param what the layer that errors name
/// @throws frame_error with the values that differ
void require_rotated_by(const rotary_embedding& own, const layer_frame& frame, std::string_view what);

}  // namespace kvtransfer::detail
