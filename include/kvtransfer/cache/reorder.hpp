#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/rebuilt.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/integers.hpp"

namespace kvtransfer {

/// A new cache with the sequences named, in that order: what beam search does between steps. A row may be named more
/// than once or left out.
/// @throws shape_error if there is no such row
template <LayerLayout Layout>
cache reorder(const cache_view<Layout>& source, const std::vector<std::int64_t>& rows) {
  for (const std::int64_t row : rows) {
    require<shape_error>(row >= 0 && row < source.batch(), "reorder", "rows",
                         fmt::format("0 <= row < {}", source.batch()), fmt::format("{}", row));
  }
  require<shape_error>(!rows.empty(), "reorder", "rows", "at least one", "none");
  return detail::rebuilt(source, source.frame().select_batch(rows), [&](const at::Tensor& tensor, std::int64_t) {
    return tensor.index_select(0, integer_tensor(rows, tensor.device()));
  });
}

}  // namespace kvtransfer
