#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/view_access.hpp"
#include "kvtransfer/cache/expand_rows.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE cache_view<> expand_rows(const cache_view<>& source, std::int64_t batch) {
  using detail::view_access;
  require<shape_error>(source.batch() == 1, "expand_rows", "source", "one sequence", fmt::format("{}", source.batch()));
  require<shape_error>(batch > 0, "expand_rows", "batch", "a positive number", fmt::format("{}", batch));
  const std::vector<std::int64_t> same_row(static_cast<std::size_t>(batch), 0);
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    keys.push_back(view_access::keys(source.layer(i)).expand({batch, -1, -1, -1}));
    values.push_back(source.layer(i).stored_values().expand({batch, -1, -1, -1}));
  }
  const auto share = [&](const cache_frame& frame) { return frame.select_batch(same_row); };
  return view_access::view(keys, values, view_access::frames(source).transform(share), source.layout());
}

}  // namespace kvtransfer
