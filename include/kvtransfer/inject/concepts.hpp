#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "kvtransfer/core/position_row.hpp"

namespace kvtransfer {

/// Decides where text goes that is read after a cache: `place(source, count)` gives the positions of `count` new
/// tokens, in order, for one row that already holds the slots of `source`.
template <class T>
concept PositionPolicy = std::copyable<T> && requires(const T policy, const position_row& source, std::int64_t count) {
  { T::name } -> std::convertible_to<std::string_view>;
  { policy.place(source, count) } -> std::same_as<position_row>;
};

struct injection;

/// One key and value of a cache, as selections look at them.
struct slot_address {
  std::int64_t layer = 0;      ///< counted from 0
  std::int64_t sequence = 0;   ///< of the batch
  std::int64_t kv_head = 0;    ///< counted from 0
  std::int64_t slot = 0;       ///< from the left end of the sequence, padding counted
  std::int64_t position = 0;   ///< in tokens, where the frame has the key
  std::int64_t token_id = -1;  ///< -1 where the text is not known
};

/// Whether a slot is meant.
using slot_predicate = std::function<bool(const slot_address&)>;

/// Names a part of a cache: `chosen_in(what)` gives the test of a slot, and refuses by name what this cache does not
/// have; `text()` is how a command line spells it.
///
/// `note(what)`, where there is one, is a sentence for results; `spans()`, where there is one, the names of spans that
/// the program has to supply.
template <class T>
concept SlotSelection = std::copyable<T> && requires(const T selection, const injection& what) {
  { selection.text() } -> std::convertible_to<std::string>;
  { selection.chosen_in(what) } -> std::same_as<slot_predicate>;
};

/// What a policy decides. Where two decide the same there is no telling which was meant, so a second `halves`,
/// `places_keys` or `places_text` is refused.
enum class policy_kind : std::uint8_t {
  selects,      ///< which slots are there
  halves,       ///< that keys and values come from different caches
  composes,     ///< what other caches add
  places_keys,  ///< where the injected keys stand
  places_text,  ///< where the text stands that is read after them
  several,      ///< a list of policies
};

/// Changes what is injected: `apply(what)` gives the changed injection, `text()` is how a command line spells the
/// policy, `kind()` what it decides.
///
/// `roles()`, where there is one, are the names of the donors that the program has to supply.
template <class T>
concept InjectionPolicy = std::copyable<T> && requires(const T policy, const injection& what) {
  { policy.kind() } -> std::same_as<policy_kind>;
  { policy.text() } -> std::convertible_to<std::string>;
  { policy.apply(what) } -> std::same_as<injection>;
};

}  // namespace kvtransfer
