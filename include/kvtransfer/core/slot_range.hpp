#pragma once

#include <algorithm>
#include <cstdint>

namespace kvtransfer {

/// Neighbouring slots, or whatever else is counted from 0 on: `begin`, `begin + 1`, … `end() - 1`.
struct slot_range {
  std::int64_t begin = 0;  ///< the first slot
  std::int64_t count = 0;  ///< how many

  /// One past the last slot.
  [[nodiscard]] constexpr std::int64_t end() const { return begin + count; }
  /// Whether there is no slot in it.
  [[nodiscard]] constexpr bool empty() const { return count <= 0; }

  /// What both hold; nothing where they do not meet.
  [[nodiscard]] constexpr slot_range overlap(const slot_range& other) const {
    const std::int64_t first = std::max(begin, other.begin);
    return {first, std::max(std::min(end(), other.end()) - first, std::int64_t{0})};
  }

  friend constexpr bool operator==(const slot_range&, const slot_range&) = default;
};

}  // namespace kvtransfer
