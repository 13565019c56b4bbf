#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <cstdint>
#include <optional>

#include "kvtransfer/tensor/quantized/codes.hpp"
#include "kvtransfer/tensor/quantized/grouped.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"
#include "kvtransfer/tensor/quantized/slabs.hpp"
#include "kvtransfer/tensor/quantized/slice.hpp"

namespace kvtransfer {

namespace detail {

/// The elements that codes stand for, in one go. @return float32
inline at::Tensor dequantized_slots(const quantized_tensor& quantized) {
  const auto spread = [&](const at::Tensor& per_group) {
    return spread_groups(per_group, quantized.scheme, quantized.groups);
  };
  at::Tensor elements = numbers_of(quantized.codes, quantized.scheme.format).mul_(spread(quantized.scales));
  return quantized.minimums.defined() ? elements.add_(spread(quantized.minimums)) : elements;
}

}  // namespace detail

/// The elements that codes stand for, computed in float32.
/// @param dtype to round them to; as before quantization where there is none
/// @return `[batch, kv_heads, seq, head_dim]`
inline at::Tensor dequantize(const quantized_tensor& quantized, std::optional<at::ScalarType> dtype = std::nullopt) {
  const cache_extents extents = quantized.extents();
  at::Tensor elements = at::empty({extents.batch, extents.kv_heads, extents.seq, extents.head_dim},
                                  quantized.scales.options().dtype(dtype.value_or(quantized.dtype)));
  detail::for_each_slab(extents, 1, quantized.device(), [&](std::int64_t begin, std::int64_t end) {
    elements.slice(2, begin, end).copy_(detail::dequantized_slots(slice(quantized, begin, end)));
  });
  return elements;
}

}  // namespace kvtransfer
