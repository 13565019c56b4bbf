#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>

#include "kvtransfer/core/position_row.hpp"

namespace kvtransfer {

/// Decides where text goes that is read after a cache: `place(source, count)` gives the positions of `count` new
/// tokens, in order, for one row that already holds the slots of `source`.
template <class T>
concept PositionPolicy = std::copyable<T> && requires(const T policy, const position_row& source, std::int64_t count) {
  { T::name } -> std::convertible_to<std::string_view>;
  { policy.place(source, count) } -> std::same_as<position_row>;
};

}  // namespace kvtransfer
