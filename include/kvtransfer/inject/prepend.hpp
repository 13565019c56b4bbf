#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/expand_rows.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/inject/position_policies.hpp"

namespace kvtransfer {

namespace detail {

/// The row of `source` that reaches furthest in any layer and head: what the new text has to come after.
inline position_row furthest_row(const cache_frame& source, std::int64_t batch) {
  position_row furthest;
  for (std::int64_t layer = 0; layer < source.layers(); ++layer) {
    const position_map& positions = source.layer(layer).positions;
    for (std::int64_t stream = 0; stream < positions.streams(); ++stream) {
      for (std::int64_t head = 0; head < positions.heads(); ++head) {
        const position_row& row = positions.row(stream, batch, head);
        if (furthest.size() == 0 || row.last_position().value_or(-1) > furthest.last_position().value_or(-1)) {
          furthest = row;
        }
      }
    }
  }
  return furthest;
}

}  // namespace detail

/// The plan that reads `token_ids` after `source`, placed by `policy`.
/// @param source its batch is that of the texts, or 1 to be shared by all of them
/// @param token_ids one row per text, no empty one
/// @throws shape_error where the number of rows does not fit
template <PositionPolicy Policy = positions::offset>
plan prepend(const cache_view<>& source, std::vector<std::vector<std::int64_t>> token_ids, const Policy& policy = {}) {
  plan result;
  const std::int64_t longest = detail::longest_row(token_ids, "prepend");
  const auto batch = static_cast<std::int64_t>(token_ids.size());
  if (source.batch() != batch && source.batch() != 1) {
    fail<shape_error>("prepend", "token_ids", fmt::format("{} rows", source.batch()), fmt::format("{}", batch));
  }
  const cache_view<> injected = source.batch() == batch ? source : expand_rows(source, batch);
  std::vector<position_row> rows;
  for (std::int64_t b = 0; b < batch; ++b) {
    const auto count = static_cast<std::int64_t>(token_ids[static_cast<std::size_t>(b)].size());
    const position_row placed = policy.place(detail::furthest_row(injected.frame(), b), count);
    rows.push_back(detail::padded_left(placed, longest));
  }
  for (std::int64_t i = 0; i < injected.layers(); ++i) {
    result.layers.push_back({{injected.layer(i), at::Tensor()}});
  }
  result.token_ids = std::move(token_ids);
  result.positions = position_map(1, batch, 1, std::move(rows));
  result.origin = {injected.frame().origin(), injected.frame().token_ids(), injected.frame().assumed(),
                   injected.frame().edits()};
  return result;
}

}  // namespace kvtransfer
