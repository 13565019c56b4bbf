#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/concat.hpp"
#include "kvtransfer/cache/gather.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/compose/join.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/detail/aligned.hpp"
#include "kvtransfer/inject/donor.hpp"
#include "kvtransfer/inject/injection.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE std::int64_t standing_at(const position_row& row, std::int64_t slot) {
  std::int64_t begin = 0;
  for (const position_run& run : row.runs()) {
    if (!run.state.is_padding() && slot < begin + run.count) {
      return run.at(std::max(slot - begin, std::int64_t{0}));
    }
    begin += run.count;
  }
  return end_of(row);
}

KVTRANSFER_INLINE cache_view<> shifted_by(const cache_view<>& source, const std::vector<std::int64_t>& by) {
  return std::ranges::all_of(by, [](std::int64_t delta) { return delta == 0; })
             ? source
             : placed(source, [&](std::int64_t b, std::int64_t at) { return at + by[static_cast<std::size_t>(b)]; });
}

KVTRANSFER_INLINE cache_view<> one_behind_other(const cache_view<>& first, const cache_view<>& second) {
  return concat(first, second, position_overlap::allowed).view();
}

KVTRANSFER_INLINE joined_donor::joined_donor(const donor& from, const injection& what, std::string_view policy)
    : kv(of_batch(from.find(what.context, policy), what.kv.batch())), reach(furthest_rows(kv)) {
  require<shape_error>(kv.batch() == what.kv.batch(), policy, "donor", formatted("{} sequences", what.kv.batch()),
                       [&] { return fmt::format("{}", kv.batch()); });
  for (const position_row& row : reach) {
    ends.push_back(end_of(row));
  }
}

KVTRANSFER_INLINE void require_even_layers(const cache_view<>& source, std::string_view policy, std::string_view what) {
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    require<shape_error>(source.layer(i).size() == source.size(), policy, what,
                         formatted("{} slots in every layer", source.size()),
                         [&] { return fmt::format("{} in layer {}", source.layer(i).size(), i); });
  }
}

KVTRANSFER_INLINE injection spliced(const injection& what, slot_range gone, const donor& from,
                                    const std::string& policy) {
  const std::int64_t slots = what.kv.size();
  require_even_layers(what.kv, policy, "source");
  require_range<value_error>(gone.begin, gone.end(), slots, policy, "slots");
  const joined_donor other(from, what, policy);
  require_even_layers(other.kv, policy, "donor");
  injection changed = what;
  std::vector<std::int64_t> begins;
  std::vector<std::int64_t> moved;
  changed.reach.clear();
  for (std::size_t b = 0; b < what.reach.size(); ++b) {
    const position_row& row = what.reach[b];
    begins.push_back(standing_at(row, gone.begin));
    moved.push_back(begins[b] + other.ends[b] - standing_at(row, gone.end()));
    position_row& reach = changed.reach.emplace_back(row.slice(0, gone.begin));
    reach.append(other.reach[b].shifted(begins[b]));
    reach.append(row.slice(gone.end(), slots).shifted(moved[b]));
  }
  const cache_view<> front = one_behind_other(what.kv.slice(0, gone.begin), shifted_by(other.kv, begins));
  const cache_view<> whole = one_behind_other(front, shifted_by(what.kv.slice(gone.end(), slots), moved));
  changed.kv = noted(whole, from, other.kv, [&](std::int64_t) { return gone.begin; });
  return changed;
}

}  // namespace kvtransfer::detail

namespace kvtransfer::compose {

KVTRANSFER_INLINE injection prepend::apply(const injection& what) const {
  const detail::joined_donor other(first, what, text());
  injection changed = what;
  for (std::size_t b = 0; b < what.reach.size(); ++b) {
    changed.reach[b] = other.reach[b];
    changed.reach[b].append(what.reach[b].shifted(other.ends[b]));
  }
  const cache_view<> whole = detail::one_behind_other(other.kv, detail::shifted_by(what.kv, other.ends));
  changed.kv = detail::noted(whole, first, other.kv, [](std::int64_t) { return 0; });
  return changed;
}

KVTRANSFER_INLINE injection append::apply(const injection& what) const {
  const detail::joined_donor other(next, what, text());
  injection changed = what;
  std::vector<std::int64_t> ends;
  for (std::size_t b = 0; b < what.reach.size(); ++b) {
    ends.push_back(detail::end_of(what.reach[b]));
    changed.reach[b].append(other.reach[b].shifted(ends[b]));
  }
  const cache_view<> whole = detail::one_behind_other(what.kv, detail::shifted_by(other.kv, ends));
  changed.kv = detail::noted(whole, next, other.kv, [&](std::int64_t layer) { return what.kv.layer(layer).size(); });
  return changed;
}

KVTRANSFER_INLINE std::string replace::text() const {
  return fmt::format("replace:{}{}:{}", first, last == first ? "" : fmt::format("-{}", last), other.role());
}

KVTRANSFER_INLINE injection replace::apply(const injection& what) const {
  return detail::spliced(what, {first, last - first + 1}, other, text());
}

KVTRANSFER_INLINE injection interleave::apply(const injection& what) const {
  const std::string policy = text();
  const cache_view<> beside = detail::aligned(other.find(what.context, policy), what.kv, policy);
  detail::require_even_layers(what.kv, policy, "source");
  std::vector<std::int64_t> firsts;
  for (const position_row& row : what.reach) {
    firsts.push_back(detail::standing_at(row, 0));
  }
  const auto spread = [&](std::int64_t b, std::int64_t at) { return 2 * at - firsts[static_cast<std::size_t>(b)]; };
  const cache_view<> mine = detail::placed(what.kv, spread);
  const cache_view<> theirs =
      detail::placed(beside, [&](std::int64_t b, std::int64_t at) { return spread(b, at) + 1; });
  const std::int64_t slots = what.kv.size();
  const cache_view<> both =
      detail::noted(detail::one_behind_other(mine, theirs), other, theirs, [&](std::int64_t) { return slots; });
  std::vector<std::int64_t> order;
  for (std::int64_t slot = 0; slot < slots; ++slot) {
    order.insert(order.end(), {slot, slots + slot});
  }
  injection changed = what;
  changed.kv = gather(both, slot_choice(order)).view();
  for (std::size_t b = 0; b < what.reach.size(); ++b) {
    position_row reach;
    for (const position_run& key : what.reach[b].one_run_per_slot()) {
      const std::int64_t at = key.state.is_padding() ? 0 : spread(static_cast<std::int64_t>(b), key.first);
      reach.append({at, 1, 1, key.state});
      reach.append({at + 1, 1, 1, key.state});
    }
    changed.reach[b] = std::move(reach);
  }
  return changed;
}

}  // namespace kvtransfer::compose
