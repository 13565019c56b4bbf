#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <set>
#include <string_view>
#include <vector>

#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// What to do where an operation would give one row and head two keys at the same position.
///
/// Two texts at one position is what a harness gets that forgets to move the second cache, so it has to be asked for.
enum class position_overlap { refused, allowed };

namespace detail {

/// Where the keys of one row and head stand, on every stream; nothing for padding.
[[nodiscard]] std::vector<std::vector<std::int64_t>> places_of_slots(const position_map& map, std::int64_t batch,
                                                                     std::int64_t head);

/// @throws frame_error where one row and head has a key at the same position in both layers
/// @param counts whether a slot of `first` is to be looked at: `bool(batch, head, slot)`
template <class Counts>
void require_apart(const layer_frame& first, const layer_frame& second, std::string_view where, Counts&& counts) {
  const std::int64_t heads = std::max(first.positions.heads(), second.positions.heads());
  for (std::int64_t batch = 0; batch < first.positions.batch(); ++batch) {
    for (std::int64_t head = 0; head < heads; ++head) {
      const auto mine = places_of_slots(first.positions, batch, head);
      std::set<std::vector<std::int64_t>> taken;
      for (std::size_t slot = 0; slot < mine.size(); ++slot) {
        if (!mine[slot].empty() && counts(batch, head, static_cast<std::int64_t>(slot))) {
          taken.insert(mine[slot]);
        }
      }
      for (const std::vector<std::int64_t>& place : places_of_slots(second.positions, batch, head)) {
        if (!place.empty() && taken.contains(place)) {
          fail<frame_error>(where, "positions", "positions that only one cache holds (shift one, or allow overlap)",
                            fmt::format("position {} in both", fmt::join(place, ", ")));
        }
      }
    }
  }
}

/// The same for all slots.
void require_apart(const layer_frame& first, const layer_frame& second, std::string_view where);

}  // namespace detail

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/position_overlap.ipp"  // IWYU pragma: export
#endif
