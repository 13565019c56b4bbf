#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <utility>

#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/detail/layer_pairs.hpp"
#include "kvtransfer/cache/detail/move_codes.hpp"
#include "kvtransfer/cache/quantized/quantized_cache.hpp"
#include "kvtransfer/tensor/quantized/quantize.hpp"

namespace kvtransfer {

/// Stores a cache as codes, in the frame it is in. Padding counts for nothing in the range of a group.
/// @param keys, values schemes; KIVI's are `kivi_keys(4)` and `kivi_values(4)`
/// @throws value_error where a scheme does not go with head_dim
template <LayerLayout Layout>
[[nodiscard]] quantized_cache quantize(const cache_view<Layout>& source, const quantization& keys,
                                       const quantization& values) {
  auto [key_codes, value_codes] = detail::keys_and_values_of(source.layers(), [&](std::int64_t i) {
    const layer_view<Layout>& layer = source.layer(i);
    const at::Tensor valid = detail::valid_slots(layer.frame().positions, layer.device());
    return std::pair(quantize(layer.keys(), keys, valid, "quantize keys"),
                     quantize(layer.values(), values, valid, "quantize values"));
  });
  return quantized_cache(std::move(key_codes), std::move(value_codes), source.frame(), as_written);
}

}  // namespace kvtransfer
