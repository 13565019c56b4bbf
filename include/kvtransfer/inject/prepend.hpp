#pragma once

#include <fmt/format.h>

#include <concepts>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_row.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/injection.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/inject/position_policies.hpp"

namespace kvtransfer {

namespace detail {

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
void require_placed(const position_row& placed, std::int64_t count, std::string_view policy);

/// The one sequence of `source` shown to every one of `batch` texts. Keys whose move is pending are rotated here, once
/// for all of them: each would be given a rotated copy of its own otherwise.
cache_view<> shown_to_all(const cache_view<>& source, std::int64_t batch);

/// The plan that reads `token_ids` behind what `reach` tells of each sequence, with nothing injected yet.
/// @param reach one row per text, or one for all
template <PositionPolicy Policy>
plan placed_behind(const std::vector<position_row>& reach, std::vector<std::vector<std::int64_t>> token_ids,
                   const Policy& policy) {
  const std::int64_t longest = longest_row(token_ids, "prepend");
  if (reach.size() != token_ids.size() && reach.size() != 1) {
    fail<shape_error>("prepend", "token_ids", fmt::format("{} rows", reach.size()),
                      fmt::format("{}", token_ids.size()));
  }
  std::vector<position_row> rows;
  for (std::size_t b = 0; b < token_ids.size(); ++b) {
    const auto count = static_cast<std::int64_t>(token_ids[b].size());
    const position_row placed = policy.place(reach[reach.size() == 1 ? 0 : b], count);
    require_placed(placed, count, name_of(policy));
    rows.push_back(padded_left(placed, longest));
  }
  const auto batch = static_cast<std::int64_t>(token_ids.size());
  return {std::move(token_ids), position_map(1, batch, 1, std::move(rows)), {}};
}

/// As many sequences of `source` as there are texts. @param batch its own, or any where it has one sequence
cache_view<> shown_to(const cache_view<>& source, std::int64_t batch);

}  // namespace detail

/// The plan that reads `token_ids` after `source`, placed by `policy`.
/// @param source its batch is that of the texts, or 1 to be shared by all of them
/// @param token_ids one row per text, no empty one
/// @throws shape_error where the number of rows does not fit; value_error where the policy has no place for the text
template <PositionPolicy Policy = place::offset>
plan prepend(const cache_view<>& source, std::vector<std::vector<std::int64_t>> token_ids, const Policy& policy = {}) {
  plan result = detail::placed_behind(detail::furthest_rows(source), std::move(token_ids), policy);
  const cache_view<> injected = detail::shown_to(source, result.batch());
  for (std::int64_t i = 0; i < injected.layers(); ++i) {
    result.layers.push_back({segment(injected, i)});
  }
  return result;
}

/// The plan that reads `token_ids` after what policies have made of a cache, where they say. Layers of which nothing is
/// left have no segment.
/// @throws as above
plan prepend(const injection& what, std::vector<std::vector<std::int64_t>> token_ids);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/detail/prepend.ipp"  // IWYU pragma: export
#endif
