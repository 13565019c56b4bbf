#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
std::int64_t standing_at(const position_row& row, std::int64_t slot);

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
cache_view<> shifted_by(const cache_view<>& source, const std::vector<std::int64_t>& by);

/// `first`, then `second`: positions are as they have been placed.
cache_view<> one_behind_other(const cache_view<>& first, const cache_view<>& second);

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
  joined_donor(const donor& from, const injection& what, std::string_view policy);

  cache_view<> kv;
  std::vector<position_row> reach;
  std::vector<std::int64_t> ends;  // one past the last position of each sequence
};

/// @throws shape_error unless every layer has the slots that the longest has: else a slot's number says nothing
void require_even_layers(const cache_view<>& source, std::string_view policy, std::string_view what);

/// The slots [begin, end) of the source replaced by a donor's, which begins where they began; what is behind them moves
/// up to it.
injection spliced(const injection& what, slot_range gone, const donor& from, const std::string& policy);

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
  [[nodiscard]] injection apply(const injection& what) const;
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
  [[nodiscard]] injection apply(const injection& what) const;
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
  [[nodiscard]] std::string text() const;
  /// Donors that the context has to supply.
  [[nodiscard]] std::vector<std::string> roles() const { return other.roles(); }
  /// @throws value_error for slots that are not there; shape_error, frame_error, device_error as `concat`, and where
  /// layers have different numbers of slots
  [[nodiscard]] injection apply(const injection& what) const;
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
  [[nodiscard]] injection apply(const injection& what) const;
};

static_assert(InjectionPolicy<prepend> && InjectionPolicy<append> && InjectionPolicy<insert> &&
              InjectionPolicy<replace> && InjectionPolicy<interleave>);

}  // namespace compose

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/compose/detail/join.ipp"  // IWYU pragma: export
#endif
