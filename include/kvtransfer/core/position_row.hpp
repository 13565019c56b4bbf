#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace kvtransfer {

/// What a slot of a cache holds, and, for a rotated key, under which rotary specification it was rotated.
///
/// A frame keeps its rotary specifications in a list; a rotated slot names its entry there. Padding and never-rotated
/// keys have no angle, so no specification either.
class slot_state {
 public:
  /// A key rotated by entry `specification` of its frame's specifications.
  [[nodiscard]] static constexpr slot_state rotated(std::int32_t specification = 0) {
    return slot_state{specification};
  }
  /// A key that carries no rotation; its position says where its token stood, or where a rotation shall put it.
  [[nodiscard]] static constexpr slot_state unrotated() { return slot_state{kUnrotated}; }
  /// A slot that no query may see; its contents mean nothing.
  [[nodiscard]] static constexpr slot_state padding() { return slot_state{kPadding}; }

  /// A key that carries the rotation of its position.
  [[nodiscard]] constexpr bool is_rotated() const { return code_ >= 0; }
  /// A key that carries no rotation.
  [[nodiscard]] constexpr bool is_unrotated() const { return code_ == kUnrotated; }
  /// Not a key.
  [[nodiscard]] constexpr bool is_padding() const { return code_ == kPadding; }
  /// Index into the frame's specifications. Only meaningful for a rotated slot.
  [[nodiscard]] constexpr std::int32_t specification() const { return code_; }

  friend constexpr bool operator==(slot_state, slot_state) = default;

 private:
  static constexpr std::int32_t kUnrotated = -1;
  static constexpr std::int32_t kPadding = -2;
  explicit constexpr slot_state(std::int32_t code) : code_(code) {}
  std::int32_t code_;
};

/// No slot stands further from 0, in tokens: so sums and differences of a few positions are 64-bit integers too.
inline constexpr std::int64_t farthest_position = std::int64_t{1} << 60;

/// `count` neighbouring slots in one state at positions `first, first + step, …` (tokens).
///
/// Text has step 1; a token whose position repeats (an image patch on the temporal stream) has step 0.
struct position_run {
  std::int64_t first = 0;  ///< position of the first slot, in tokens
  std::int64_t count = 0;  ///< slots
  std::int64_t step = 1;   ///< tokens from one slot's position to the next slot's
  /// of every slot
  slot_state state = slot_state::rotated();

  /// The position of the slot `index` places after the first.
  [[nodiscard]] constexpr std::int64_t at(std::int64_t index) const { return first + index * step; }

  friend constexpr bool operator==(const position_run&, const position_run&) = default;
};

/// The slots of one cache row from left to right, stored as runs in a canonical form, so that equality is run by run.
class position_row {
 public:
  position_row() = default;

  /// `count` rotated slots at first, first + 1, …
  [[nodiscard]] static position_row consecutive(std::int64_t first, std::int64_t count,
                                                slot_state state = slot_state::rotated());

  /// One slot per entry of `positions`, all in one state.
  [[nodiscard]] static position_row listed(const std::vector<std::int64_t>& positions,
                                           slot_state state = slot_state::rotated());

  /// Slots, padding included.
  [[nodiscard]] std::int64_t size() const { return size_; }
  /// Left to right, as few as the canonical form allows: equal rows have equal runs.
  [[nodiscard]] const std::vector<position_run>& runs() const& { return runs_; }
  /// The same of a row that is about to go: runs that outlive it.
  [[nodiscard]] std::vector<position_run> runs() && { return std::move(runs_); }

  /// Adds a run at the right end and merges it with its neighbour where the two read as one.
  /// @throws value_error where a position would lie beyond `farthest_position`, and then nothing has changed
  void append(position_run run);

  /// Adds the slots of `other` at the right end.
  void append(const position_row& other);

  /// The slots [begin, end).
  [[nodiscard]] position_row slice(std::int64_t begin, std::int64_t end) const;

  /// The slots named by `slots`, in that order (a slot may be named more than once).
  [[nodiscard]] position_row gather(const std::vector<std::int64_t>& slots) const;

  /// Every slot as a run of its own.
  [[nodiscard]] std::vector<position_run> one_run_per_slot() const;

  /// Applies `change` to every run; padding stays as it is.
  template <class Change>
  position_row transform(Change&& change) const {
    position_row changed;
    for (const position_run& run : runs_) {
      changed.append(run.state.is_padding() ? run : change(run));
    }
    return changed;
  }

  /// Every position moved by `delta` tokens. @throws value_error where one would lie beyond `farthest_position`
  [[nodiscard]] position_row shifted(std::int64_t delta) const;

  /// These positions in the slot states of `other`.
  /// @throws shape_error unless both have as many slots, and this row has a position where `other` holds a key
  [[nodiscard]] position_row with_states_of(const position_row& other) const;

  /// Whether every slot is in the state that `other` has it in.
  [[nodiscard]] bool has_states_of(const position_row& other) const;

  /// Whether `other` has keys in the same slots, and padding in the rest.
  [[nodiscard]] bool has_keys_of(const position_row& other) const;

  /// Calls `visit(first slot, run, run of other)` for the longest runs of slots that are one run in this row and one in
  /// `other`.
  template <class Visit>
  void for_each_shared_run(const position_row& other, Visit&& visit) const {
    auto theirs = other.runs_.begin();
    std::int64_t slot = 0;
    std::int64_t passed = 0;  // of theirs
    for (const position_run& mine : runs_) {
      for (std::int64_t i = 0; i < mine.count && theirs != other.runs_.end();) {
        const std::int64_t count = std::min(mine.count - i, theirs->count - passed);
        visit(slot, position_run{mine.at(i), count, mine.step, mine.state},
              position_run{theirs->at(passed), count, theirs->step, theirs->state});
        slot += count;
        i += count;
        passed += count;
        if (passed == theirs->count) {
          ++theirs;
          passed = 0;
        }
      }
    }
  }

  /// One position per slot; padding reads 0.
  [[nodiscard]] std::vector<std::int64_t> positions() const;

  /// The largest position of any slot that is not padding; nothing where there is none.
  [[nodiscard]] std::optional<std::int64_t> last_position() const;

  /// How far from 0 the furthest key stands, in tokens.
  [[nodiscard]] std::int64_t reach() const;

  /// How many slots a query may see.
  [[nodiscard]] std::int64_t key_count() const;

  friend bool operator==(const position_row&, const position_row&) = default;

 private:
  [[noreturn]] static void fail_far(std::string_view got);

  /// @throws value_error where a slot of `run` that is no padding would stand beyond `farthest_position`
  static void require_near(const position_run& run);

  /// Padding has no positions and a single slot no step: one spelling for each keeps comparison simple.
  static void canonicalize(position_run& run);

  /// Moves as much of the front of `next` into `last` as continues it; true if anything moved.
  static bool absorb(position_run& last, position_run& next);

  std::vector<position_run> runs_;
  std::int64_t size_ = 0;
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/core/detail/position_row.ipp"  // IWYU pragma: export
#endif
