#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/same_padding.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"

namespace kvtransfer {

/// How far two tensors `[batch, kv_heads, seq, head_dim]` are apart, head by head; float64 `[kv_heads]` on the host.
struct head_differences {
  at::Tensor largest;   ///< the largest absolute difference of an element
  at::Tensor relative;  ///< the norm of the difference over the norm of what was expected; 0 where both are 0
};

/// The same for a layer.
struct layer_difference {
  head_differences keys;    ///< of every head
  head_differences values;  ///< of every head
};

/// How far two caches are apart, layer by layer.
struct cache_difference {
  std::vector<layer_difference> layers;  ///< one per layer

  /// The largest absolute difference of any key or value; NaN where one is no number.
  [[nodiscard]] double largest() const;
  /// The largest relative difference of any layer's head; NaN likewise.
  [[nodiscard]] double relative() const;

 private:
  template <class Part>
  double worst(Part&& part) const {
    double found = 0;
    for (const layer_difference& layer : layers) {
      for (const at::Tensor& heads : {part(layer.keys), part(layer.values)}) {
        const double most = heads.numel() == 0 ? 0.0 : heads.max().template item<double>();
        found = std::isnan(most) || most > found ? most : found;  // std::max would pass over NaN
      }
    }
    return found;
  }
};

namespace detail {

/// @param valid bool that broadcasts to the tensors: which slots count
[[nodiscard]] head_differences differences(const at::Tensor& found, const at::Tensor& expected,
                                           const at::Tensor& valid);

}  // namespace detail

/// Measures how far `found` is from `expected`, key by key and value by value; padding doesn't count. What each cache
/// says of its positions is not compared: the frames' own `==` does that.
/// @throws shape_error unless extents agree, frame_error unless padding is at the same slots, device_error where they
/// live apart
template <LayerLayout A, LayerLayout B>
[[nodiscard]] cache_difference compare(const cache_view<A>& found, const cache_view<B>& expected) {
  require_count<shape_error>(found.layers(), expected.layers(), "compare", "layers");
  cache_difference difference;
  for (std::int64_t i = 0; i < found.layers(); ++i) {
    const at::Tensor keys = found.layer(i).keys();
    const at::Tensor values = found.layer(i).values();
    const at::Tensor expected_keys = expected.layer(i).keys();
    const at::Tensor expected_values = expected.layer(i).values();
    require_same_device(expected_keys, keys, "compare", "keys");
    if (keys.sizes() != expected_keys.sizes() || values.sizes() != expected_values.sizes()) {
      fail<shape_error>("compare", fmt::format("layer {}", i), describe(expected_keys), describe(keys));
    }
    const at::Tensor valid = validity_tensor(found.layer(i).frame().positions);
    detail::require_same_padding(validity_tensor(expected.layer(i).frame().positions), valid, i, "compare");
    const at::Tensor counts = valid.unsqueeze(-1).to(keys.device());
    difference.layers.push_back(
        {detail::differences(keys, expected_keys, counts), detail::differences(values, expected_values, counts)});
  }
  return difference;
}

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/compare.ipp"  // IWYU pragma: export
#endif
