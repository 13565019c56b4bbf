#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/concat.hpp"
#include "kvtransfer/cache/expand_rows.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/donor.hpp"
#include "kvtransfer/inject/injection.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/operations.hpp"

namespace kvtransfer::detail {

/// The keys of `source` where `target` has them, rotated when they are read; nothing is copied.
inline cache_view<> moved_to(const cache_view<>& source, cache_frame stored, cache_frame target) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    keys.push_back(view_access::canonical_keys(source.layer(i)));
    values.push_back(source.layer(i).values());
  }
  return cache_access::of(std::move(keys), std::move(values), {std::move(stored), std::move(target), nullptr}).view();
}

/// `source` with its keys where `move(target frame)` has them.
template <class Move>
cache_view<> moved_by(const cache_view<>& source, Move&& move) {
  const moving_frames& frames = view_access::frames(source);
  return moved_to(source, frames.stored, move(frames.target));
}

/// One sequence shown to as many as `source` has; anything else as it is.
inline cache_view<> of_batch(const cache_view<>& given, std::int64_t batch) {
  return given.batch() == 1 && batch > 1 ? expand_rows(given, batch) : given;
}

/// `map` with padding wherever `shown` has it.
/// @throws frame_error where `shown` has a key and `map` has none
inline position_map with_padding_of(const position_map& map, const position_map& shown, std::string_view policy) {
  const std::int64_t heads = std::max(map.heads(), shown.heads());
  return position_map::of_rows(
      map.streams(), map.batch(), heads, [&](std::int64_t stream, std::int64_t b, std::int64_t head) {
        position_row row;
        map.row(stream, b, head)
            .for_each_shared_run(shown.row(stream, b, head),
                                 [&](std::int64_t slot, const position_run& mine, const position_run& theirs) {
                                   const bool gone = theirs.state.is_padding();
                                   require<frame_error>(gone || !mine.state.is_padding(), policy, "donor",
                                                        "a key wherever the source has one",
                                                        formatted("padding at slot {} of sequence {}", slot, b));
                                   row.append(gone ? position_run{0, mine.count, 0, slot_state::padding()} : mine);
                                 });
        return row;
      });
}

/// @throws shape_error, device_error unless every slot of `source` has one of `given` beside it
inline void require_beside(const cache_view<>& source, const cache_view<>& given, std::string_view policy) {
  require_count<shape_error>(given.layers(), source.layers(), policy, "donor", "{} layers");
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    const layer_view<>& mine = source.layer(i);
    const layer_view<>& theirs = given.layer(i);
    const std::string what = fmt::format("layer {} of the donor", i);
    if (!(theirs.extents() == mine.extents()) || theirs.dtype() != mine.dtype()) {
      fail<shape_error>(policy, what, fmt::format("{} {}, slot by slot", mine.extents(), c10::toString(mine.dtype())),
                        fmt::format("{} {}", theirs.extents(), c10::toString(theirs.dtype())));
    }
    require_same_device(mine.keys(), theirs.keys(), policy, what);
    require_count<shape_error>(theirs.frame().positions.streams(), mine.frame().positions.streams(), policy, what,
                               "{} streams of positions");
  }
}

/// The donor's numbers as they would be where the keys of `source` stand, slot by slot, with padding where `source` has
/// it. What the donor says of its model, text and edits stays.
/// @throws shape_error, frame_error, device_error unless it has a key of the same model for every one of the source
inline cache_view<> aligned(const cache_view<>& donor_cache, const cache_view<>& source, std::string_view policy) {
  const cache_view<> given = of_batch(donor_cache, source.batch());
  require_beside(source, given, policy);
  require_same_model(source.frame().origin(), given.frame().origin(), policy, "model of the donor");
  const moving_frames& theirs = view_access::frames(given);
  const cache_frame& mine = source.frame();
  cache_frame stored = theirs.stored.combine(mine, [&](const layer_frame& from, const layer_frame& to) {
    return from.with_positions(with_padding_of(from.positions, to.positions, policy));
  });
  cache_frame target = theirs.target.combine(mine, [&](const layer_frame& from, layer_frame to) {
    require_same_writings(from.with_positions(with_padding_of(from.positions, to.positions, policy)), to, policy);
    to.roundings = from.roundings;
    return to;
  });
  return moved_to(given, std::move(stored), std::move(target));
}

/// Zeros where `source` has keys and values; of no text.
inline cache_view<> zeros_beside(const cache_view<>& source) {
  cache_frame frame = source.frame();
  frame.set_edits({});
  frame.set_token_ids({});
  return rebuilt(source, std::move(frame), [](const at::Tensor& tensor, std::int64_t) { return zeros_as(tensor); })
      .view();
}

/// The donor's numbers beside those that are injected.
inline cache_view<> donor_beside(const donor& given, const injection& what, std::string_view policy) {
  return given.is_zero() ? zeros_beside(what.kv) : aligned(given.find(what.context, policy), what.kv, policy);
}

/// Where a donor's numbers come from, as an edit says it.
inline std::string origin_text(const donor& given, const cache_view<>& beside) {
  return given.is_zero() ? std::string("zeros") : fmt::format("{}: {}", given.role(), origin_text(beside.frame()));
}

}  // namespace kvtransfer::detail
