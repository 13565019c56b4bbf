#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include <optional>

#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer {

namespace detail {

/// Writes the elements that codes stand for, in one go.
/// @param elements `[batch, kv_heads, seq, head_dim]`, float16 or wider: computed in float32 and rounded once
void dequantize_slots_into(const at::Tensor& elements, const quantized_tensor& quantized);

}  // namespace detail

/// The elements that codes stand for, computed in float32.
/// @param dtype to round them to; as before quantization where there is none
/// @return `[batch, kv_heads, seq, head_dim]`
[[nodiscard]] at::Tensor dequantize(const quantized_tensor& quantized,
                                    std::optional<at::ScalarType> dtype = std::nullopt);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/quantized/detail/dequantize.ipp"  // IWYU pragma: export
#endif
