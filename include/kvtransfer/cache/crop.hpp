#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

namespace detail {

/// `row` with every key behind its first `count` made padding.
[[nodiscard]] inline position_row first_keys(const position_row& row, std::int64_t count) {
  position_row kept;
  for (position_run run : row.runs()) {
    if (run.state.is_padding()) {
      kept.append(run);
      continue;
    }
    const std::int64_t taken = std::min(run.count, count);
    kept.append({run.first, taken, run.step, run.state});
    kept.append({0, run.count - taken, 0, slot_state::padding()});
    count -= taken;
  }
  return kept;
}

/// One past the last slot that holds a key.
[[nodiscard]] inline std::int64_t end_of_keys(const position_row& row) {
  std::int64_t slot = 0;
  std::int64_t end = 0;
  for (const position_run& run : row.runs()) {
    slot += run.count;
    end = run.state.is_padding() ? end : slot;
  }
  return end;
}

[[nodiscard]] inline layer_frame first_keys_of_rows(const layer_frame& layer, const std::vector<std::int64_t>& counts) {
  const position_map& positions = layer.positions;
  require_count<shape_error>(counts.size(), positions.batch(), "crop", "lengths", "{} rows");
  const auto rows = [&](std::int64_t stream, std::int64_t batch, std::int64_t head) {
    return first_keys(positions.row(stream, batch, head), counts[static_cast<std::size_t>(batch)]);
  };
  return layer.with_positions(position_map::of_rows(positions.streams(), positions.batch(), positions.heads(), rows));
}

/// The token ids of every layer of `frame`, -1 where it holds no key.
[[nodiscard]] inline layer_tokens token_ids_of_keys(const cache_frame& frame) {
  const auto in_one_frame = [&](std::size_t a, std::size_t b) { return frame.layers_share(a, b); };
  return frame.tokens().transform(in_one_frame, [&](const layer_tokens::token_rows& rows, std::size_t layer) {
    const position_map& positions = frame.layer(static_cast<std::int64_t>(layer)).positions;
    layer_tokens::token_rows ids;
    for (const std::vector<std::int64_t>& row : rows) {
      std::vector<std::int64_t>& known = ids.emplace_back(row.size(), -1);
      for (std::int64_t head = 0; head < positions.heads(); ++head) {
        std::size_t slot = 0;
        for (const position_run& run :
             positions.row(0, static_cast<std::int64_t>(ids.size()) - 1, head).one_run_per_slot()) {
          known[slot] = run.state.is_padding() ? known[slot] : row[slot];
          ++slot;
        }
      }
    }
    return ids;
  });
}

}  // namespace detail

/// The first `length` slots of every row and layer, without a copy; what is behind them is given up.
/// @throws shape_error unless 0 <= length <= the shortest layer's slots
template <LayerLayout Layout>
[[nodiscard]] cache_view<Layout> crop(const cache_view<Layout>& source, std::int64_t length) {
  return source.slice(0, length);
}

/// The first `lengths[b]` keys of each row b in every layer and head, without a copy. Padding in front of them is not
/// counted; keys behind them become padding, and slots at the right end that no row needs go.
/// @throws shape_error unless there is one length, not negative, per row
template <LayerLayout Layout>
[[nodiscard]] cache_view<Layout> crop(const cache_view<Layout>& source, const std::vector<std::int64_t>& lengths) {
  for (const std::int64_t length : lengths) {
    require<shape_error>(length >= 0, "crop", "lengths", "none below 0", fmt::format("{}", length));
  }
  const detail::moving_frames frames = detail::view_access::frames(source).transform([&](const cache_frame& frame) {
    cache_frame kept =
        frame.transform([&](const layer_frame& layer) { return detail::first_keys_of_rows(layer, lengths); });
    kept.set_tokens(detail::token_ids_of_keys(kept));
    return kept;
  });
  const cache_frame& kept = frames.target;
  std::int64_t end = 0;
  for (std::int64_t i = 0; i < kept.layers(); ++i) {
    for (const position_row& row : kept.layer(i).positions.rows()) {
      end = std::max(end, detail::end_of_keys(row));
    }
  }
  return detail::view_access::reread(source, frames).slice(0, end);
}

}  // namespace kvtransfer
