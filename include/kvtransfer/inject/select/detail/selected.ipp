#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "kvtransfer/cache/cache_edit.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/detail/replaced.hpp"
#include "kvtransfer/inject/detail/slot_marks.hpp"
#include "kvtransfer/inject/donor.hpp"
#include "kvtransfer/inject/injection.hpp"
#include "kvtransfer/inject/select/selected.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE selected selected::inverted() const {
  selected other = *this;
  other.inverted_ = !inverted_;
  return other;
}

KVTRANSFER_INLINE selected selected::with_rest(donor rest, cache_half half) const {
  selected other = *this;
  other.rest_ = std::move(rest);
  other.half_ = half;
  return other;
}

KVTRANSFER_INLINE std::string selected::text() const {
  return fmt::format("{}{}{}{}", inverted_ ? "without-" : "", chosen_.text(),
                     rest_ ? fmt::format(":{}", rest_->role()) : "",
                     half_ == cache_half::both ? "" : fmt::format(".{}", name_of(half_)));
}

KVTRANSFER_INLINE injection selected::apply(const injection& what) const {
  const slot_predicate chosen = chosen_.chosen_in(what);
  const bool kept = !inverted_;
  injection changed = what;
  if (std::string note = chosen_.note(what); !note.empty()) {
    changed.notes.push_back(std::move(note));
  }
  if (rest_) {
    const detail::slot_marks rest =
        detail::marked(what.kv, [&](const slot_address& key) { return chosen(key) != kept; });
    const cache_view<> beside = detail::donor_beside(*rest_, what, text());
    changed.kv = detail::replaced(what.kv, beside, rest, half_, detail::origin_text(*rest_, beside));
    return changed;
  }
  const detail::slot_marks left = detail::marked(what.kv, [&](const slot_address& key) { return chosen(key) == kept; });
  require<value_error>(std::ranges::any_of(left, [](const detail::layer_marks& layer) { return layer.any(); }), text(),
                       "selection", "something to be left of what is injected", "nothing");
  changed.kv = detail::only_marked(what.kv, left);
  return changed;
}

KVTRANSFER_INLINE selected filled(const selected& selection, donor rest, cache_half half) {
  return selection.with_rest(std::move(rest), half);
}

}  // namespace kvtransfer
