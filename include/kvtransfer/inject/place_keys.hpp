#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/injection.hpp"

namespace kvtransfer::place {

/// Keys stay where they stood when they were written, and so does the text behind them, whatever a selection has left
/// out: as if attention had been masked. What happens where nothing is said; this says it.
struct kept {
  /// @return `policy_kind::places_keys`
  [[nodiscard]] policy_kind kind() const { return policy_kind::places_keys; }
  /// `kept`
  [[nodiscard]] std::string text() const { return "kept"; }
  /// The same.
  [[nodiscard]] injection apply(const injection& what) const { return what; }
};

/// What a selection has left is read as a text of its own: keys of every sequence, layer and head side by side from 0
/// on, in the order of their slots, and the text right behind the longest.
struct closed {
  /// @return `policy_kind::places_keys`
  [[nodiscard]] policy_kind kind() const { return policy_kind::places_keys; }
  /// `closed`
  [[nodiscard]] std::string text() const { return "closed"; }
  /// @throws frame_error for keys of several position streams
  [[nodiscard]] injection apply(const injection& what) const;
};

/// Every key `positions` tokens further on, or back where negative, while the text stays where it would have been: an
/// error of position, with a sign.
struct shift {
  std::int64_t positions = 0;  ///< tokens
  /// @return `policy_kind::places_keys`
  [[nodiscard]] policy_kind kind() const { return policy_kind::places_keys; }
  /// `shift:-3`
  [[nodiscard]] std::string text() const { return fmt::format("shift:{}", positions); }
  /// @throws value_error where a position would be no 64-bit integer
  [[nodiscard]] injection apply(const injection& what) const;
};

/// Keys without their rotation, read as they are: each stands at position 0, where rotation is none, so that nothing is
/// left of the order in which they were written. The text stays where it would have been.
struct unrotated {
  /// @return `policy_kind::places_keys`
  [[nodiscard]] policy_kind kind() const { return policy_kind::places_keys; }
  /// `unrotated`
  [[nodiscard]] std::string text() const { return "unrotated"; }
  /// The keys at position 0, on every stream.
  [[nodiscard]] injection apply(const injection& what) const;
};

static_assert(InjectionPolicy<kept> && InjectionPolicy<closed> && InjectionPolicy<shift> && InjectionPolicy<unrotated>);

}  // namespace kvtransfer::place

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/detail/place_keys.ipp"  // IWYU pragma: export
#endif
