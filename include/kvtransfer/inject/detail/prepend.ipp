#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/expand_rows.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_row.hpp"
#include "kvtransfer/inject/concepts.hpp"
#include "kvtransfer/inject/detail/compacted.hpp"
#include "kvtransfer/inject/injection.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/inject/prepend.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE void require_placed(const position_row& placed, std::int64_t count, std::string_view policy) {
  const bool only_keys =
      std::ranges::all_of(placed.runs(), [](const position_run& run) { return run.state == slot_state::rotated(); });
  if (placed.size() != count || !only_keys) {
    fail<value_error>("prepend", fmt::format("position policy {}", policy), fmt::format("{} positions of keys", count),
                      only_keys ? fmt::format("{}", placed.size()) : std::string("padding, or keys without rotation"));
  }
}

KVTRANSFER_INLINE cache_view<> shown_to_all(const cache_view<>& source, std::int64_t batch) {
  if (!source.has_pending_move()) {
    return expand_rows(source, batch);
  }
  const cache moved = rebuilt(source, source.frame(), [](const at::Tensor& tensor, std::int64_t) { return tensor; });
  return expand_rows(moved.view(), batch);
}

KVTRANSFER_INLINE cache_view<> shown_to(const cache_view<>& source, std::int64_t batch) {
  return source.batch() == batch ? source : shown_to_all(source, batch);
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE plan prepend(const injection& what, std::vector<std::vector<std::int64_t>> token_ids) {
  plan result = detail::placed_behind(what.reach, std::move(token_ids), what.text_place);
  result.layers = detail::compacted(detail::shown_to(what.kv, result.batch()));
  return result;
}

}  // namespace kvtransfer
