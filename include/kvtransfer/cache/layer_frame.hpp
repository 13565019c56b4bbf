#pragma once

#include <cstdint>
#include <vector>

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
  [[nodiscard]] layer_frame slice(std::int64_t begin, std::int64_t end) const;
  /// The slots named, in that order (one may be named more than once). @throws shape_error if there is no such slot
  [[nodiscard]] layer_frame gather(const std::vector<std::int64_t>& slots) const;
  /// Every position moved by `delta` tokens; padding stays.
  [[nodiscard]] layer_frame shifted(std::int64_t delta) const { return with_positions(positions.shifted(delta)); }
  /// The sequences named, in that order (one may be named more than once). @throws shape_error if there is no such one
  [[nodiscard]] layer_frame select_batch(const std::vector<std::int64_t>& sequences) const;

  /// All else that is said here, of keys at other positions.
  [[nodiscard]] layer_frame with_positions(position_map other) const;

  /// These slots followed by `other`'s; equal specifications are listed once.
  [[nodiscard]] layer_frame followed_by(const layer_frame& other) const;

  /// Puts `tail`'s slots behind these; what that costs does not depend on how many these are.
  /// @throws shape_error as `position_map::append`, and then nothing has changed
  void append(const layer_frame& tail);

  /// The positions of `other`, whose specifications join the list, with its states numbered as here.
  position_map renumbered(const layer_frame& other);

  /// The index of `specification` in the list, which it joins if it is new.
  std::int32_t specification_index(const rotary_specification& specification);

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
  [[nodiscard]] std::int64_t next_position() const;

  /// @throws shape_error unless every rotated slot names a specification that exists
  void validate() const;

  /// Whether both say the same of where keys stand; how exactly they stand there is not compared, nor specifications
  /// that no key names.
  friend bool operator==(const layer_frame& a, const layer_frame& b) {
    return a.positions == b.positions && (a.specifications == b.specifications || a.names_those_of(b));
  }

 private:
  /// Whether every specification that a slot names is the one of that number in `other`.
  [[nodiscard]] bool names_those_of(const layer_frame& other) const;
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/layer_frame.ipp"  // IWYU pragma: export
#endif
