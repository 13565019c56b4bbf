#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/slot_range.hpp"

namespace kvtransfer {

/// What was done to keys or values since a model wrote them. Moves are none: the frame's positions say where keys
/// stand.
enum class edit_kind : std::uint8_t {
  noise,      ///< drawn at random
  mixture,    ///< taken from another cache: whole slots, heads or layers
  half,       ///< taken from another cache: keys alone, or values alone
  blend,      ///< a weighted sum with those of another cache
  projected,  ///< computed from those of another cache by a learned or given map
  other,      ///< anything else that changed numbers
};

/// The half of a cache that an edit concerns.
enum class cache_half : std::uint8_t { both, keys, values };

namespace detail {

inline constexpr std::array<std::string_view, 6> edit_kind_names{"noise", "mixture",   "half",
                                                                 "blend", "projected", "other"};
inline constexpr std::array<std::string_view, 3> cache_half_names{"both", "keys", "values"};

template <class Enum, std::size_t Count>
[[nodiscard]] std::optional<Enum> named_value(const std::array<std::string_view, Count>& names, std::string_view text) {
  const auto found = std::ranges::find(names, text);
  return found == names.end() ? std::nullopt : std::optional(static_cast<Enum>(found - names.begin()));
}

/// `0-3, 7` of rising numbers.
[[nodiscard]] std::string listed_ranges(const std::vector<std::int64_t>& numbers);

[[nodiscard]] std::string listed_ranges(const std::vector<slot_range>& ranges);

}  // namespace detail

/// The name of a kind, as files and reports spell it: `noise`, `mixture`, …
[[nodiscard]] std::string_view name_of(edit_kind kind);
/// The kind of that name; nothing where there is none.
[[nodiscard]] std::optional<edit_kind> edit_kind_named(std::string_view name);
/// The name of a half, as files and reports spell it: `both`, `keys` or `values`.
[[nodiscard]] std::string_view name_of(cache_half half);
/// The half of that name; nothing where there is none.
[[nodiscard]] std::optional<cache_half> cache_half_named(std::string_view name);

/// One change to the numbers of a cache: what, where, and from where the new ones came. It turns no check off; it says,
/// in files and reports, that a cache no longer holds what its model wrote.
///
/// In a frame, layers, heads and slots rise, each once. Where rows or heads were cut in different places since, `slots`
/// covers all that the edit may have reached.
struct cache_edit {
  edit_kind kind = edit_kind::other;   ///< what was done
  cache_half half = cache_half::both;  ///< whether to keys, values or both
  std::vector<std::int64_t> layers;    ///< empty, when given to `cache_frame::add_edit`: all of them
  std::vector<std::int64_t> heads;     ///< KV heads; empty: all of them
  std::vector<slot_range> slots;       ///< empty, when given to `cache_frame::add_edit`: all of them
  std::string origin;                  ///< from where the new numbers came, as text: a seed, a model, a projector

  friend bool operator==(const cache_edit&, const cache_edit&) = default;
};

/// `noise in keys and values, layers 0-3, slots 0-15, from seed 7`.
[[nodiscard]] std::string describe(const cache_edit& edit);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/cache_edit.ipp"  // IWYU pragma: export
#endif
