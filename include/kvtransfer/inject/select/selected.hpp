#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <vector>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/donor.hpp"
#include "kvtransfer/inject/injection.hpp"
#include "kvtransfer/inject/select/any_slot_selection.hpp"

namespace kvtransfer {

/// Keeps what a selection names, or all but it. What is left out is not there: no query sees it. Where the rest is
/// asked for from a donor, it is taken from there instead, slot by slot.
class selected {
 public:
  /// Any selection by itself keeps what it names.
  template <class Selection>
    requires(!std::same_as<Selection, selected>) && SlotSelection<Selection>
  selected(const Selection& selection)  // NOLINT(google-explicit-constructor): a selection keeps what it names
      : chosen_(selection) {}

  /// All but what is kept now.
  [[nodiscard]] selected inverted() const;
  /// The rest, or its keys or values alone, from `rest` instead of nothing. Of a half the other stays the source's.
  [[nodiscard]] selected with_rest(donor rest, cache_half half = cache_half::both) const;

  /// @return `policy_kind::selects`
  [[nodiscard]] policy_kind kind() const { return policy_kind::selects; }

  /// `layers:2-4`, `without-layers:2-4`, `layers:2-4:other`, `layers:2-4:other.keys`
  [[nodiscard]] std::string text() const;

  /// Donors that the context has to supply.
  [[nodiscard]] std::vector<std::string> roles() const { return rest_ ? rest_->roles() : std::vector<std::string>{}; }
  /// Spans that the context has to supply.
  [[nodiscard]] const std::vector<std::string>& spans() const { return chosen_.spans(); }

  /// @throws value_error where the cache does not have what is named, or nothing at all would be left
  [[nodiscard]] injection apply(const injection& what) const;

 private:
  any_slot_selection chosen_;
  bool inverted_ = false;
  std::optional<donor> rest_;
  cache_half half_ = cache_half::both;
};

static_assert(InjectionPolicy<selected>);

/// All but what the selection keeps: `without(layers(2, 4))`.
[[nodiscard]] inline selected without(const selected& selection) { return selection.inverted(); }

/// What the selection keeps, and the rest from a donor: `filled(layers(2, 4), other.view())`. With a half, `filled(…,
/// other.view(), cache_half::keys)`, the rest has that half from the donor, and the other half as it was.
[[nodiscard]] selected filled(const selected& selection, donor rest, cache_half half = cache_half::both);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/select/detail/selected.ipp"  // IWYU pragma: export
#endif
