#pragma once

#include <concepts>
#include <functional>
#include <string>
#include <vector>

#include "kvtransfer/inject/concepts.hpp"

namespace kvtransfer {

/// A selection chosen at run time.
class any_slot_selection {
 public:
  /// Takes any selection, by value.
  template <class Selection>
    requires(!std::same_as<Selection, any_slot_selection>) && SlotSelection<Selection>
  any_slot_selection(const Selection& selection)  // NOLINT(google-explicit-constructor): a selection is a selection
      : text_(selection.text()), chosen_in_([selection](const injection& what) { return selection.chosen_in(what); }) {
    if constexpr (requires(const injection& what) { selection.note(what); }) {
      note_ = [selection](const injection& what) { return selection.note(what); };
    }
    if constexpr (requires { selection.spans(); }) {
      spans_ = selection.spans();
    }
  }

  /// As a command line spells it.
  [[nodiscard]] const std::string& text() const { return text_; }
  /// The test of a slot. @throws value_error where the cache does not have what is named
  [[nodiscard]] slot_predicate chosen_in(const injection& what) const { return chosen_in_(what); }
  /// A sentence for results; empty where the selection has none.
  [[nodiscard]] std::string note(const injection& what) const { return note_ ? note_(what) : std::string(); }
  /// Spans that the program has to supply, by name.
  [[nodiscard]] const std::vector<std::string>& spans() const { return spans_; }

 private:
  std::string text_;
  std::function<slot_predicate(const injection&)> chosen_in_;
  std::function<std::string(const injection&)> note_;
  std::vector<std::string> spans_;
};

static_assert(SlotSelection<any_slot_selection>);

}  // namespace kvtransfer
