#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_frame.hpp"
#include "kvtransfer/cache/cache_view.hpp"

namespace kvtransfer::detail {

/// A new cache in `frame` whose tensors are `change(tensor, layer)` of the source's.
/// @param change takes and gives `[batch, kv_heads, seq, head_dim]`; called for keys, then for values
template <LayerLayout Layout, class Change>
cache rebuilt(const cache_view<Layout>& source, cache_frame frame, Change&& change) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < source.layers(); ++i) {
    keys.push_back(change(source.layer(i).keys(), i));
    values.push_back(change(source.layer(i).values(), i));
  }
  return cache(std::move(keys), std::move(values), std::move(frame));
}

}  // namespace kvtransfer::detail
