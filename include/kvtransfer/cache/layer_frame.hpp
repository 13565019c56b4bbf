#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer {

/// What is needed to read one layer's keys: where each stands, and under which rotary specification it was written.
///
/// A rotated slot names its specification by index, so that one cache may hold keys of several specifications (dynamic
/// NTK, LongRoPE).
struct layer_frame {
  position_map positions;                            ///< of every slot, and its state
  std::vector<rotary_specification> specifications;  ///< those that rotated slots name by index
  /// How often a key was rounded by a move in place since a model wrote it, at most. Every time costs up to one unit of
  /// the keys' dtype.
  std::int64_t roundings = 0;

  /// Slots.
  [[nodiscard]] std::int64_t size() const { return positions.size(); }

  /// The slots [begin, end). @throws shape_error unless they exist
  [[nodiscard]] layer_frame slice(std::int64_t begin, std::int64_t end) const {
    return with_positions(positions.slice(begin, end));
  }
  /// The slots named, in that order (one may be named more than once). @throws shape_error if there is no such slot
  [[nodiscard]] layer_frame gather(const std::vector<std::int64_t>& slots) const {
    return with_positions(positions.gather(slots));
  }
  /// Every position moved by `delta` tokens; padding stays.
  [[nodiscard]] layer_frame shifted(std::int64_t delta) const { return with_positions(positions.shifted(delta)); }
  /// The sequences named, in that order (one may be named more than once). @throws shape_error if there is no such one
  [[nodiscard]] layer_frame select_batch(const std::vector<std::int64_t>& sequences) const {
    return with_positions(positions.select_batch(sequences));
  }

  /// All else that is said here, of keys at other positions.
  [[nodiscard]] layer_frame with_positions(position_map other) const {
    return {std::move(other), specifications, roundings};
  }

  /// These slots followed by `other`'s; equal specifications are listed once.
  [[nodiscard]] layer_frame followed_by(const layer_frame& other) const {
    layer_frame joined = *this;
    joined.append(other);
    return joined;
  }

  /// Puts `tail`'s slots behind these; what that costs does not depend on how many these are.
  /// @throws shape_error as `position_map::append`, and then nothing has changed
  void append(const layer_frame& tail) {
    positions.require_joinable(tail.positions);
    positions.append(renumbered(tail));
    roundings = std::max(roundings, tail.roundings);
  }

  /// The positions of `other`, whose specifications join the list, with its states numbered as here.
  position_map renumbered(const layer_frame& other) {
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

  /// The index of `specification` in the list, which it joins if it is new.
  std::int32_t specification_index(const rotary_specification& specification) {
    const auto found = std::find(specifications.begin(), specifications.end(), specification);
    if (found == specifications.end()) {
      specifications.push_back(specification);
      return static_cast<std::int32_t>(specifications.size()) - 1;
    }
    return static_cast<std::int32_t>(found - specifications.begin());
  }

  /// Replaces the state of every slot that is not padding by `change(state)`.
  template <class Change>
  layer_frame with_states(Change&& change) const {
    layer_frame changed = *this;
    changed.positions = positions.transform([&](const position_row& row) {
      return row.transform([&](position_run run) {
        run.state = change(run.state);
        return run;
      });
    });
    return changed;
  }

  /// One past the largest position held, 0 for an empty layer: where text that follows would begin.
  [[nodiscard]] std::int64_t next_position() const {
    std::int64_t next = 0;
    for (const position_row& row : positions.rows()) {
      next = std::max(next, row.last_position().value_or(-1) + 1);
    }
    return next;
  }

  /// @throws shape_error unless every rotated slot names a specification that exists
  void validate() const {
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

  /// Whether both say the same of where keys stand; how exactly they stand there is not compared, nor specifications
  /// that no key names.
  friend bool operator==(const layer_frame& a, const layer_frame& b) {
    return a.positions == b.positions && (a.specifications == b.specifications || a.names_those_of(b));
  }

 private:
  /// Whether every specification that a slot names is the one of that number in `other`.
  [[nodiscard]] bool names_those_of(const layer_frame& other) const {
    return std::ranges::all_of(positions.rows(), [&](const position_row& row) {
      return std::ranges::all_of(row.runs(), [&](const position_run& run) {
        const auto index = static_cast<std::size_t>(run.state.is_rotated() ? run.state.specification() : 0);
        return !run.state.is_rotated() || (index < specifications.size() && index < other.specifications.size() &&
                                           specifications[index] == other.specifications[index]);
      });
    });
  }
};

}  // namespace kvtransfer
