#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/injection.hpp"
#include "kvtransfer/inject/select/tokens.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE slot_predicate tokens::chosen_in(const injection& what) const {
  chosen_.require_below(what.kv.size(), text(), "tokens");
  return [chosen = chosen_](const slot_address& key) { return chosen.contains(key.slot); };
}

}  // namespace kvtransfer

namespace kvtransfer::detail {

KVTRANSFER_INLINE std::vector<std::string> text_span::spans() const {
  return name_.empty() ? std::vector<std::string>{} : std::vector{name_};
}

KVTRANSFER_INLINE slot_range text_span::slots_in(const injection& what, std::string_view policy) const {
  slot_range slots = slots_;
  if (!name_.empty()) {
    const auto found = what.context.spans.find(name_);
    if (found == what.context.spans.end()) {
      std::vector<std::string> known;
      for (const auto& [span, range] : what.context.spans) {
        known.push_back(span);
      }
      fail<value_error>(
          policy, "span",
          known.empty() ? "slots, as no span has a name here" : fmt::format("one of {}", fmt::join(known, ", ")),
          name_);
    }
    slots = found->second;
  }
  require<value_error>(slots.begin >= 0 && !slots.empty() && slots.end() <= what.kv.size(), policy, "span",
                       formatted("slots below {}", what.kv.size()),
                       [&] { return fmt::format("[{}, {})", slots.begin, slots.end()); });
  return slots;
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE slot_predicate only_span::chosen_in(const injection& what) const {
  return [slots = span_.slots_in(what, text())](const slot_address& key) {
    return slots.begin <= key.slot && key.slot < slots.end();
  };
}

KVTRANSFER_INLINE slot_predicate after_span::chosen_in(const injection& what) const {
  return [end = span_.slots_in(what, text()).end()](const slot_address& key) { return key.slot >= end; };
}

}  // namespace kvtransfer
