#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <utility>

#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/index_ranges.hpp"
#include "kvtransfer/inject/injection.hpp"

namespace kvtransfer {

/// Whole layers, counted from 0: in which of them what was injected is read.
///
///     plan input = prepend(source.view() | layers(3, 5), token_ids);
///
/// `|` is in inject/any_injection_policy.hpp, `prepend` in inject/prepend.hpp; all layers but these are
/// `without(layers(3, 5))` of select/selected.hpp.
class layers {
 public:
  /// `first` to `last`, both included. @throws value_error unless 0 <= first <= last
  layers(std::int64_t first, std::int64_t last) : chosen_(first, last) {}
  /// Those in `chosen`.
  explicit layers(index_ranges chosen) : chosen_(std::move(chosen)) {}

  /// `layers:2-4`
  [[nodiscard]] std::string text() const { return fmt::format("layers:{}", chosen_.text()); }

  /// @throws value_error for a layer past the model's last
  [[nodiscard]] slot_predicate chosen_in(const injection& what) const {
    chosen_.require_below(what.kv.layers(), text(), "layers");
    return [chosen = chosen_](const slot_address& key) { return chosen.contains(key.layer); };
  }

 private:
  index_ranges chosen_;
};

static_assert(SlotSelection<layers>);

}  // namespace kvtransfer
