#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

namespace detail {

/// `row` with every key behind its first `count` made padding.
[[nodiscard]] position_row first_keys(const position_row& row, std::int64_t count);

/// One past the last slot that holds a key.
[[nodiscard]] std::int64_t end_of_keys(const position_row& row);

[[nodiscard]] layer_frame first_keys_of_rows(const layer_frame& layer, const std::vector<std::int64_t>& counts);

/// The token ids of every layer of `frame`, -1 where it holds no key.
[[nodiscard]] layer_tokens token_ids_of_keys(const cache_frame& frame);

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

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/crop.ipp"  // IWYU pragma: export
#endif
