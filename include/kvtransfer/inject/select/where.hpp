#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>

#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/injection.hpp"

namespace kvtransfer {

/// The slots that a function says yes to: `where("vowels", [](const slot_address& key) { … })`. Of C++ alone: its text
/// names it, and no command line can say it.
class where {
 public:
  /// @param name what texts and complaints call it
  where(std::string name, slot_predicate chosen) : name_(std::move(name)), chosen_(std::move(chosen)) {}

  /// `where:NAME`
  [[nodiscard]] std::string text() const { return fmt::format("where:{}", name_); }
  /// The function.
  [[nodiscard]] slot_predicate chosen_in(const injection&) const { return chosen_; }

 private:
  std::string name_;
  slot_predicate chosen_;
};

static_assert(SlotSelection<where>);

}  // namespace kvtransfer
