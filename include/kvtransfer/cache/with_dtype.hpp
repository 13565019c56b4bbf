#pragma once

#include <ATen/OpMathType.h>
#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>
#include <fmt/format.h>

#include <cstdint>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"

namespace kvtransfer::detail {

/// Whether there are numbers in `from` beyond the largest of `to`: more bits of exponent, as bfloat16 has over float16.
constexpr bool may_lose_range(at::ScalarType from, at::ScalarType to) {
  const auto range = [](at::ScalarType dtype) {
    switch (dtype) {
      case at::kDouble:
        return 4;
      case at::kFloat:
        return 3;
      case at::kBFloat16:
        return 2;
      case at::kHalf:
        return 1;
      default:
        return 0;  // fp8
    }
  };
  return range(to) < range(from) || (range(to) == 0 && from != to);
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

/// A copy of `source` in another dtype, in the same frame: to a narrower one every element is rounded, once. Nothing
/// else in the library converts a cache on its way into a model.
/// @param dtype floating
/// @throws value_error for another, and for a key or value that is out of its range
template <LayerLayout Layout>
[[nodiscard]] cache with_dtype(const cache_view<Layout>& source, at::ScalarType dtype) {
  require<value_error>(c10::isFloatingType(dtype), "with_dtype", "dtype", "a floating one", c10::toString(dtype));
  return detail::rebuilt(source, source.frame(), [&](const at::Tensor& tensor, std::int64_t layer) {
    at::Tensor converted = tensor.to(dtype, /*non_blocking=*/false, /*copy=*/true);
    if (detail::may_lose_range(tensor.scalar_type(), dtype)) {
      const at::ScalarType wide = at::toOpMathType(tensor.scalar_type());
      const at::Tensor valid = validity_tensor(source.layer(layer).frame().positions, tensor.device()).unsqueeze(-1);
      const at::Tensor before = tensor.to(wide);
      const at::Tensor lost =
          before.isfinite().logical_and(converted.to(wide).isfinite().logical_not()).logical_and(valid);
      if (lost.any().item<bool>()) {
        fail<value_error>("with_dtype", "elements", fmt::format("those that {} holds", c10::toString(dtype)),
                          fmt::format("{:.6g} in layer {}", before.masked_select(lost)[0].item<double>(), layer));
      }
    }
    return converted;
  });
}

}  // namespace kvtransfer
