#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <cstdint>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer {

/// A copy of `source` in another dtype, in the same frame: to a narrower one every element is rounded, once. Nothing
/// else in the library converts a cache on its way into a model.
/// @param dtype floating
/// @throws value_error for another
template <LayerLayout Layout>
[[nodiscard]] cache with_dtype(const cache_view<Layout>& source, at::ScalarType dtype) {
  require<value_error>(c10::isFloatingType(dtype), "with_dtype", "dtype", "a floating one", c10::toString(dtype));
  return detail::rebuilt(source, source.frame(), [dtype](const at::Tensor& tensor, std::int64_t) {
    return tensor.to(dtype, /*non_blocking=*/false, /*copy=*/true);
  });
}

}  // namespace kvtransfer
