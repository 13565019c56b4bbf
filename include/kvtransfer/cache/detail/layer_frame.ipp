#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/layer_frame.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE layer_frame layer_frame::slice(std::int64_t begin, std::int64_t end) const {
  return with_positions(positions.slice(begin, end));
}

KVTRANSFER_INLINE layer_frame layer_frame::gather(const std::vector<std::int64_t>& slots) const {
  return with_positions(positions.gather(slots));
}

KVTRANSFER_INLINE layer_frame layer_frame::select_batch(const std::vector<std::int64_t>& sequences) const {
  return with_positions(positions.select_batch(sequences));
}

KVTRANSFER_INLINE layer_frame layer_frame::with_positions(position_map other) const {
  return {std::move(other), specifications, roundings};
}

KVTRANSFER_INLINE layer_frame layer_frame::followed_by(const layer_frame& other) const {
  layer_frame joined = *this;
  joined.append(other);
  return joined;
}

KVTRANSFER_INLINE void layer_frame::append(const layer_frame& tail) {
  positions.require_joinable(tail.positions);
  positions.append(renumbered(tail));
  roundings = std::max(roundings, tail.roundings);
}

KVTRANSFER_INLINE position_map layer_frame::renumbered(const layer_frame& other) {
  std::vector<std::int32_t> numbers;
  for (const rotary_specification& specification : other.specifications) {
    numbers.push_back(specification_index(specification));
  }
  return other
      .with_states([&](slot_state state) {
        return state.is_rotated() ? slot_state::rotated(numbers[static_cast<std::size_t>(state.specification())])
                                  : state;
      })
      .positions;
}

KVTRANSFER_INLINE std::int32_t layer_frame::specification_index(const rotary_specification& specification) {
  const auto found = std::find(specifications.begin(), specifications.end(), specification);
  if (found == specifications.end()) {
    specifications.push_back(specification);
    return static_cast<std::int32_t>(specifications.size()) - 1;
  }
  return static_cast<std::int32_t>(found - specifications.begin());
}

KVTRANSFER_INLINE std::int64_t layer_frame::next_position() const {
  std::int64_t next = 0;
  for (const position_row& row : positions.rows()) {
    next = std::max(next, row.last_position().value_or(-1) + 1);
  }
  return next;
}

KVTRANSFER_INLINE void layer_frame::validate() const {
  for (const position_row& row : positions.rows()) {
    for (const position_run& run : row.runs()) {
      if (run.state.is_rotated() && run.state.specification() >= static_cast<std::int32_t>(specifications.size())) {
        fail<shape_error>("layer_frame", "specifications",
                          fmt::format("more than {} specifications", run.state.specification()),
                          fmt::format("{}", specifications.size()));
      }
    }
  }
}

KVTRANSFER_INLINE bool layer_frame::names_those_of(const layer_frame& other) const {
  return std::ranges::all_of(positions.rows(), [&](const position_row& row) {
    return std::ranges::all_of(row.runs(), [&](const position_run& run) {
      const auto index = static_cast<std::size_t>(run.state.is_rotated() ? run.state.specification() : 0);
      return !run.state.is_rotated() || (index < specifications.size() && index < other.specifications.size() &&
                                         specifications[index] == other.specifications[index]);
    });
  });
}

}  // namespace kvtransfer
