#pragma once

#include <cstdint>

#include "kvtransfer/cache/cache_view.hpp"

namespace kvtransfer {

/// The slots [begin, end) of every row and layer, without a copy, in the layout they are in.
/// @throws shape_error unless 0 <= begin <= end <= the shortest layer's slots
template <LayerLayout Layout>
[[nodiscard]] cache_view<Layout> slice(const cache_view<Layout>& source, std::int64_t begin, std::int64_t end) {
  return source.slice(begin, end);
}

}  // namespace kvtransfer
