#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/integers.hpp"

namespace kvtransfer {

/// A new cache with the sequences named, in that order: what beam search does between steps. A row may be named more
/// than once or left out.
/// @throws shape_error if there is no such row
template <LayerLayout Layout>
[[nodiscard]] cache reorder(const cache_view<Layout>& source, const std::vector<std::int64_t>& rows) {
  for (const std::int64_t row : rows) {
    require<shape_error>(row >= 0 && row < source.batch(), "reorder", "rows",
                         fmt::format("0 <= row < {}", source.batch()), fmt::format("{}", row));
  }
  require<shape_error>(!rows.empty(), "reorder", "rows", "at least one", "none");
  const auto choose = [&](const cache_frame& frame) { return frame.select_batch(rows); };
  return detail::rebuilt(source, detail::view_access::frames(source).transform(choose),
                         [&](const at::Tensor& tensor, std::int64_t) {
                           return tensor.index_select(0, integer_tensor(rows, tensor.device()));
                         });
}

/// A new cache with every sequence `times` times, copies side by side: several continuations of each text.
/// @throws value_error unless `times` is positive
template <LayerLayout Layout>
[[nodiscard]] cache repeat(const cache_view<Layout>& source, std::int64_t times) {
  require<value_error>(times > 0, "repeat", "times", "positive", fmt::format("{}", times));
  std::vector<std::int64_t> rows;
  for (std::int64_t row = 0; row < source.batch(); ++row) {
    rows.insert(rows.end(), static_cast<std::size_t>(times), row);
  }
  return reorder(source, rows);
}

}  // namespace kvtransfer
