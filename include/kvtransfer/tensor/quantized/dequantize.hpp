#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include <optional>

#include "kvtransfer/tensor/quantized/codes.hpp"
#include "kvtransfer/tensor/quantized/grouped.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer {

/// The elements that codes stand for, computed in float32.
/// @param dtype to round them to; as before quantization where there is none
/// @return `[batch, kv_heads, seq, head_dim]`
inline at::Tensor dequantize(const quantized_tensor& quantized, std::optional<at::ScalarType> dtype = std::nullopt) {
  const auto spread = [&](const at::Tensor& per_group) {
    return detail::spread_groups(per_group, quantized.scheme, quantized.groups);
  };
  at::Tensor elements = detail::numbers_of(quantized.codes, quantized.scheme.format) * spread(quantized.scales);
  if (quantized.minimums.defined()) {
    elements = elements + spread(quantized.minimums);
  }
  return elements.to(dtype.value_or(quantized.dtype));
}

}  // namespace kvtransfer
