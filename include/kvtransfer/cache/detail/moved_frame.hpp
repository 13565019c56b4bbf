#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/core/alike.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer::detail {

/// Every layer's keys in the state that its specification gives them, after `check(state)` of the one they are in.
template <class Check>
cache_frame restated(const cache_frame& frame, const std::vector<rotary_specification>& specifications,
                     std::string_view where, Check&& check) {
  require_count<shape_error>(specifications.size(), frame.layers(), where, "specifications",
                             "one for each of {} layers");
  return frame.with_layers(make_for_alike(
      specifications.size(),
      [&](std::size_t a, std::size_t b) { return frame.layers_share(a, b) && specifications[a] == specifications[b]; },
      [&](std::size_t i) -> cache_frame::shared_layer {
        auto layer =
            std::make_shared<layer_frame>(frame.layer(static_cast<std::int64_t>(i)).with_states([&](slot_state state) {
              check(state);
              return slot_state::rotated(0);
            }));
        layer->specifications = {specifications[i]};
        return layer;
      }));
}

/// The frame in which every key stands `delta` tokens further on.
cache_frame shifted(const cache_frame& frame, std::int64_t delta);

/// `target` of keys that are yet to be moved there from `stored`: each layer that moves is rounded once more.
cache_frame rounded(const cache_frame& stored, const cache_frame& target);

/// @throws shape_error unless `positions` are one for all heads, or one for each of `kv_heads`
void require_heads(const position_map& positions, std::int64_t kv_heads, std::string_view where);

/// The frame in which the keys of every layer stand at `positions`, slot by slot; which slots are padding stays as it
/// is.
/// @param where the operation that errors name
/// @throws shape_error unless slots, rows and streams fit, and every key has a position
cache_frame remapped(const cache_frame& frame, const position_map& positions, std::string_view where);

/// The frame in which the keys of every row and head stand side by side, in the order of their slots.
/// @throws frame_error for keys of several position streams
cache_frame without_gaps(const cache_frame& frame, std::int64_t first, std::string_view where);

/// The frame in which keys carry no rotation; their positions stay known. @throws frame_error if a key was never
/// rotated
cache_frame unrotated(const cache_frame& frame, std::string_view where);

/// The frame in which never-rotated keys are rotated to their positions by each layer's `specifications`.
/// @throws frame_error if a key is rotated already
cache_frame rotated(const cache_frame& frame, const std::vector<rotary_specification>& specifications,
                    std::string_view where);

/// The frame in which rotated keys are as each layer's `specifications` would have written them at their positions.
/// @throws frame_error if a key was never rotated
cache_frame reframed(const cache_frame& frame, const std::vector<rotary_specification>& specifications,
                     std::string_view where);

}  // namespace kvtransfer::detail

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/moved_frame.ipp"  // IWYU pragma: export
#endif
