#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_row.hpp"
#include "kvtransfer/inject/position_policies.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE position_row after(const position_row& source, std::int64_t count, std::int64_t gap,
                                     std::string_view policy) {
  require<value_error>(gap >= 0, policy, "tokens", "0 or more", fmt::format("{}", gap));
  const std::int64_t last = source.last_position().value_or(-1);
  const std::int64_t left = farthest_position - std::max<std::int64_t>(last, 0);
  if (gap >= left || count >= left - gap) {
    fail<value_error>(policy, "positions", fmt::format("at most {} from 0", farthest_position),
                      fmt::format("{} tokens, {} after {}", count, gap, last));
  }
  return position_row::consecutive(last + 1 + gap, count);
}

}  // namespace kvtransfer::detail

namespace kvtransfer::place {

KVTRANSFER_INLINE position_row offset::place(const position_row& source, std::int64_t count) const {
  return detail::after(source, count, 0, "place::offset");
}

KVTRANSFER_INLINE position_row restart::place(const position_row&, std::int64_t count) const {
  return position_row::consecutive(0, count);
}

KVTRANSFER_INLINE position_row gap::place(const position_row& source, std::int64_t count) const {
  return detail::after(source, count, tokens, "place::gap");
}

KVTRANSFER_INLINE position_row at::place(const position_row&, std::int64_t count) const {
  return detail::after({}, count, position, "place::at");
}

}  // namespace kvtransfer::place

namespace kvtransfer {

KVTRANSFER_INLINE position_row any_position_policy::place(const position_row& source, std::int64_t count) const {
  return place_(source, count);
}

}  // namespace kvtransfer
