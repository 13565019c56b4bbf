#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/reorder.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// A new cache with every sequence `times` times, copies side by side: several continuations of each text.
/// @throws value_error unless `times` is positive
template <LayerLayout Layout>
cache repeat(const cache_view<Layout>& source, std::int64_t times) {
  require<value_error>(times > 0, "repeat", "times", "positive", fmt::format("{}", times));
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < source.batch(); ++row) {
    rows.insert(rows.end(), static_cast<std::size_t>(times), row);
  }
  return reorder(source, rows);
}

}  // namespace kvtransfer
