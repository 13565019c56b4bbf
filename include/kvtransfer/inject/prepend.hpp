#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/expand_rows.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_row.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/inject/position_policies.hpp"

namespace kvtransfer {

namespace detail {

/// The row of `source` that reaches furthest in any layer and head: what the new text has to come after.
inline position_row furthest_row(const cache_frame& source, std::int64_t batch) {
  position_row furthest;
  std::optional<std::int64_t> last;
  for (std::int64_t layer = 0; layer < source.layers(); ++layer) {
    const position_map& positions = source.layer(layer).positions;
    for (std::int64_t stream = 0; stream < positions.streams(); ++stream) {
      for (std::int64_t head = 0; head < positions.heads(); ++head) {
        const position_row& row = positions.row(stream, batch, head);
        const std::optional<std::int64_t> reached = row.last_position();  // nothing is less than any position
        if (furthest.size() == 0 || reached > last) {
          furthest = row;
          last = reached;
        }
      }
    }
  }
  return furthest;
}

/// What errors call a policy: one chosen at run time by what it was made from.
template <PositionPolicy Policy>
std::string_view name_of(const Policy& policy) {
  if constexpr (std::same_as<Policy, any_position_policy>) {
    return policy.label();
  } else {
    return Policy::name;
  }
}

/// @throws value_error unless a policy gave each of `count` tokens a position, and nothing else
inline void require_placed(const position_row& placed, std::int64_t count, std::string_view policy) {
  const bool only_keys =
      std::ranges::all_of(placed.runs(), [](const position_run& run) { return run.state == slot_state::rotated(); });
  if (placed.size() != count || !only_keys) {
    fail<value_error>("prepend", fmt::format("position policy {}", policy), fmt::format("{} positions of keys", count),
                      only_keys ? fmt::format("{}", placed.size()) : std::string("padding, or keys without rotation"));
  }
}

/// The one sequence of `source` shown to every one of `batch` texts. Keys whose move is pending are rotated here, once
/// for all of them: each would be given a rotated copy of its own otherwise.
inline cache_view<> shown_to_all(const cache_view<>& source, std::int64_t batch) {
  if (!source.has_pending_move()) {
    return expand_rows(source, batch);
  }
  const cache moved = rebuilt(source, source.frame(), [](const at::Tensor& tensor, std::int64_t) { return tensor; });
  return expand_rows(moved.view(), batch);
}

}  // namespace detail

/// The plan that reads `token_ids` after `source`, placed by `policy`.
/// @param source its batch is that of the texts, or 1 to be shared by all of them
/// @param token_ids one row per text, no empty one
/// @throws shape_error where the number of rows does not fit; value_error where the policy has no place for the text
template <PositionPolicy Policy = positions::offset>
plan prepend(const cache_view<>& source, std::vector<std::vector<std::int64_t>> token_ids, const Policy& policy = {}) {
  plan result;
  const std::int64_t longest = detail::longest_row(token_ids, "prepend");
  const auto batch = static_cast<std::int64_t>(token_ids.size());
  if (source.batch() != batch && source.batch() != 1) {
    fail<shape_error>("prepend", "token_ids", fmt::format("{} rows", source.batch()), fmt::format("{}", batch));
  }
  const cache_view<> injected = source.batch() == batch ? source : detail::shown_to_all(source, batch);
  std::vector<position_row> rows;
  for (std::int64_t b = 0; b < batch; ++b) {
    const auto count = static_cast<std::int64_t>(token_ids[static_cast<std::size_t>(b)].size());
    const position_row placed = policy.place(detail::furthest_row(injected.frame(), b), count);
    detail::require_placed(placed, count, detail::name_of(policy));
    rows.push_back(detail::padded_left(placed, longest));
  }
  for (std::int64_t i = 0; i < injected.layers(); ++i) {
    result.layers.push_back({segment(injected, i)});
  }
  result.token_ids = std::move(token_ids);
  result.positions = position_map(1, batch, 1, std::move(rows));
  return result;
}

}  // namespace kvtransfer
