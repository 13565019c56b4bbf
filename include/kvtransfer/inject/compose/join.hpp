#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/concat.hpp"
#include "kvtransfer/cache/gather.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/detail/aligned.hpp"
#include "kvtransfer/inject/donor.hpp"
#include "kvtransfer/inject/injection.hpp"
#include "kvtransfer/inject/plan.hpp"

namespace kvtransfer {

namespace detail {

/// One past the last position of a row; 0 for a row without keys.
inline std::int64_t end_of(const position_row& row) { return row.last_position().value_or(-1) + 1; }

/// Where `slot` stands: its position, or where it is padding that of the next key; one past the last where none comes.
inline std::int64_t standing_at(const position_row& row, std::int64_t slot) {
  std::int64_t begin = 0;
  for (const position_run& run : row.runs()) {
    if (!run.state.is_padding() && slot < begin + run.count) {
      return run.at(std::max(slot - begin, std::int64_t{0}));
    }
    begin += run.count;
  }
  return end_of(row);
}

/// `source` with every key of sequence b where `place(b, position)` says.
template <class Place>
cache_view<> placed(const cache_view<>& source, Place&& place) {
  return moved_by(source, [&](const cache_frame& frame) {
    return frame.transform([&](const layer_frame& layer) {
      const position_map& old = layer.positions;
      return layer.with_positions(position_map::of_rows(
          old.streams(), old.batch(), old.heads(), [&](std::int64_t stream, std::int64_t b, std::int64_t head) {
            position_row row;
            for (position_run key : old.row(stream, b, head).one_run_per_slot()) {
              key.first = key.state.is_padding() ? 0 : place(b, key.first);
              row.append(key);
            }
            return row;
          }));
    });
  });
}

/// `source` with the keys of each sequence b `by[b]` tokens further on.
inline cache_view<> shifted_by(const cache_view<>& source, const std::vector<std::int64_t>& by) {
  return std::ranges::all_of(by, [](std::int64_t delta) { return delta == 0; })
             ? source
             : placed(source, [&](std::int64_t b, std::int64_t at) { return at + by[static_cast<std::size_t>(b)]; });
}

/// `first`, then `second`: positions are as they have been placed.
inline cache_view<> one_behind_other(const cache_view<>& first, const cache_view<>& second) {
  return concat(first, second, position_overlap::allowed).view();
}

/// Takes note that the slots of each layer from `begin(layer)` on, as many as `beside` has there, are a donor's.
template <class Begin>
cache_view<> noted(const cache_view<>& whole, const donor& from, const cache_view<>& beside, Begin&& begin) {
  std::vector<cache_edit> edits;
  for (std::int64_t i = 0; i < whole.layers(); ++i) {
    if (const std::int64_t count = beside.layer(i).size(); count > 0) {
      add_in_layer(edits,
                   {edit_kind::mixture, cache_half::both, {}, {}, {{begin(i), count}}, origin_text(from, beside)}, i);
    }
  }
  moving_frames frames = view_access::frames(whole);
  frames.edit([&](cache_frame& frame) {
    for (const cache_edit& edit : edits) {
      frame.add_edit(edit);
    }
  });
  return view_access::reread(whole, std::move(frames));
}

/// A donor of as many sequences as the source, where it stands itself, with the furthest row of each.
struct joined_donor {
  joined_donor(const donor& from, const injection& what, std::string_view policy)
      : kv(of_batch(from.find(what.context, policy), what.kv.batch())), reach(furthest_rows(kv)) {
    require<shape_error>(kv.batch() == what.kv.batch(), policy, "donor", formatted("{} sequences", what.kv.batch()),
                         [&] { return fmt::format("{}", kv.batch()); });
    for (const position_row& row : reach) {
      ends.push_back(end_of(row));
    }
  }

  cache_view<> kv;
  std::vector<position_row> reach;
  std::vector<std::int64_t> ends;  // one past the last position of each sequence
};

/// @throws shape_error unless every layer has the slots that the longest has: else a slot's number says nothing
inline void require_even_layers(const cache_view<>& source, std::string_view policy, std::string_view what) {
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    require<shape_error>(source.layer(i).size() == source.size(), policy, what,
                         formatted("{} slots in every layer", source.size()),
                         [&] { return fmt::format("{} in layer {}", source.layer(i).size(), i); });
  }
}

/// The slots [begin, end) of the source replaced by a donor's, which begins where they began; what is behind them moves
/// up to it.
inline injection spliced(const injection& what, slot_range gone, const donor& from, const std::string& policy) {
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

}  // namespace detail

namespace compose {

/// A donor's cache in front, where it stands itself; the source, and the text behind it, as many positions further on
/// as the donor reaches.
struct prepend {
  donor first;  ///< what stands in front
  /// @return `policy_kind::composes`
  [[nodiscard]] policy_kind kind() const { return policy_kind::composes; }
  /// `prepend:other`
  [[nodiscard]] std::string text() const { return fmt::format("prepend:{}", first.role()); }
  /// Donors that the context has to supply.
  [[nodiscard]] std::vector<std::string> roles() const { return first.roles(); }
  /// @throws shape_error, frame_error, device_error as `concat`
  [[nodiscard]] injection apply(const injection& what) const {
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
};

/// A donor's cache behind the source, as many positions further on as the source reaches, and the text behind both:
/// several sources in order are several of these.
struct append {
  donor next;  ///< what stands behind
  /// @return `policy_kind::composes`
  [[nodiscard]] policy_kind kind() const { return policy_kind::composes; }
  /// `append:other`
  [[nodiscard]] std::string text() const { return fmt::format("append:{}", next.role()); }
  /// Donors that the context has to supply.
  [[nodiscard]] std::vector<std::string> roles() const { return next.roles(); }
  /// @throws shape_error, frame_error, device_error as `concat`
  [[nodiscard]] injection apply(const injection& what) const {
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
};

/// A donor's cache in front of one slot of the source, beginning where that slot stood; it and what is behind it move
/// on by as many positions as the donor reaches.
struct insert {
  std::int64_t slot = 0;  ///< of the source, its number of slots for the end
  donor other;            ///< what is inserted
  /// @return `policy_kind::composes`
  [[nodiscard]] policy_kind kind() const { return policy_kind::composes; }
  /// `insert:4:other`
  [[nodiscard]] std::string text() const { return fmt::format("insert:{}:{}", slot, other.role()); }
  /// Donors that the context has to supply.
  [[nodiscard]] std::vector<std::string> roles() const { return other.roles(); }
  /// @throws value_error for a slot past the end; shape_error, frame_error, device_error as `concat`, and where layers
  /// have different numbers of slots
  [[nodiscard]] injection apply(const injection& what) const { return detail::spliced(what, {slot, 0}, other, text()); }
};

/// A donor's cache in the place of some slots of the source, beginning where they began; what is behind them moves up
/// to it, on or back, as text would.
struct replace {
  std::int64_t first = 0;  ///< slot of the source
  std::int64_t last = 0;   ///< slot of the source, included
  donor other;             ///< what comes in
  /// @return `policy_kind::composes`
  [[nodiscard]] policy_kind kind() const { return policy_kind::composes; }
  /// `replace:3-7:other`
  [[nodiscard]] std::string text() const {
    return fmt::format("replace:{}{}:{}", first, last == first ? "" : fmt::format("-{}", last), other.role());
  }
  /// Donors that the context has to supply.
  [[nodiscard]] std::vector<std::string> roles() const { return other.roles(); }
  /// @throws value_error for slots that are not there; shape_error, frame_error, device_error as `concat`, and where
  /// layers have different numbers of slots
  [[nodiscard]] injection apply(const injection& what) const {
    return detail::spliced(what, {first, last - first + 1}, other, text());
  }
};

/// The source's slots and a donor's in turn, the source's first, each one position behind the other; slots of the
/// source stand twice as far from its first one as they did.
struct interleave {
  donor other;  ///< of as many slots
  /// @return `policy_kind::composes`
  [[nodiscard]] policy_kind kind() const { return policy_kind::composes; }
  /// `interleave:other`
  [[nodiscard]] std::string text() const { return fmt::format("interleave:{}", other.role()); }
  /// Donors that the context has to supply.
  [[nodiscard]] std::vector<std::string> roles() const { return other.roles(); }
  /// @throws shape_error, frame_error unless the donor has a key of the same model beside each of the source
  [[nodiscard]] injection apply(const injection& what) const {
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
};

static_assert(InjectionPolicy<prepend> && InjectionPolicy<append> && InjectionPolicy<insert> &&
              InjectionPolicy<replace> && InjectionPolicy<interleave>);

}  // namespace compose

}  // namespace kvtransfer
