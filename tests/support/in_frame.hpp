#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_frame.hpp"

namespace kvtransfer::test {

/// A copy of the tensors of `kv` that says `frame` of itself, true or not.
inline cache in_frame(const cache& kv, cache_frame frame) {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t i = 0; i < kv.layers(); ++i) {
    keys.push_back(kv.view().layer(i).keys().clone());
    values.push_back(kv.view().layer(i).values().clone());
  }
  return cache(std::move(keys), std::move(values), std::move(frame), as_written);
}

}  // namespace kvtransfer::test
