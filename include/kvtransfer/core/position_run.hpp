#pragma once

#include <cstdint>

namespace kvtransfer {

/// What a slot of a cache holds, and, for a rotated key, under which rotary specification it was rotated.
///
/// A frame keeps its rotary specifications in a list; a rotated slot names its entry there. Padding and never-rotated
/// keys have no angle, so no specification either.
class slot_state {
 public:
  /// A key rotated by entry `specification` of its frame's specifications.
  static constexpr slot_state rotated(std::int32_t specification = 0) { return slot_state{specification}; }
  /// A key that carries no rotation; its position says where its token stood, or where a rotation shall put it.
  static constexpr slot_state unrotated() { return slot_state{kUnrotated}; }
  /// A slot that no query may see; its contents mean nothing.
  static constexpr slot_state padding() { return slot_state{kPadding}; }

  constexpr bool is_rotated() const { return code_ >= 0; }
  constexpr bool is_unrotated() const { return code_ == kUnrotated; }
  constexpr bool is_padding() const { return code_ == kPadding; }
  /// Index into the frame's specifications. Only meaningful for a rotated slot.
  constexpr std::int32_t specification() const { return code_; }

  friend constexpr bool operator==(slot_state, slot_state) = default;

 private:
  static constexpr std::int32_t kUnrotated = -1;
  static constexpr std::int32_t kPadding = -2;
  explicit constexpr slot_state(std::int32_t code) : code_(code) {}
  std::int32_t code_;
};

/// `count` neighbouring slots in one state at positions `first, first + step, …` (tokens).
///
/// Text has step 1; a token whose position repeats (an image patch on the temporal stream) has step 0.
struct position_run {
  std::int64_t first = 0;
  std::int64_t count = 0;
  std::int64_t step = 1;
  slot_state state = slot_state::rotated();

  constexpr std::int64_t at(std::int64_t index) const { return first + index * step; }

  friend constexpr bool operator==(const position_run&, const position_run&) = default;
};

}  // namespace kvtransfer
