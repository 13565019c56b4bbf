#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/addcmul_ops.h>
#include <ATen/ops/mul_ops.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <optional>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/tensor/detail/codes.hpp"
#include "kvtransfer/tensor/quantized/dequantize.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"
#include "kvtransfer/tensor/quantized/slice.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE void dequantize_slots_into(const at::Tensor& elements, const quantized_tensor& quantized) {
  const at::Tensor numbers = numbers_of(quantized.codes, quantized.scheme.format);
  for (const equal_groups& some : groups_by_length(quantized.scheme, quantized.groups)) {
    at::Tensor written = some.of_elements(elements);
    const at::Tensor scales = some.of_groups(quantized.scales);
    if (quantized.minimums.defined()) {
      at::_ops::addcmul_out::call(some.of_groups(quantized.minimums), some.of_elements(numbers), scales, 1, written);
    } else {
      at::_ops::mul_out::call(some.of_elements(numbers), scales, written);
    }
  }
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE at::Tensor dequantize(const quantized_tensor& quantized, std::optional<at::ScalarType> dtype) {
  const cache_extents extents = quantized.extents();
  const at::ScalarType target = dtype.value_or(quantized.dtype);
  const at::ScalarType computed = at::elementSize(target) < 2 ? at::kFloat : target;
  const at::Tensor elements =
      quantized.scales.new_empty({extents.batch, extents.kv_heads, extents.seq, extents.head_dim}, computed);
  detail::for_each_slab(extents, 1, quantized.device(), [&](std::int64_t begin, std::int64_t end) {
    detail::dequantize_slots_into(elements.slice(2, begin, end), slice(quantized, begin, end));
  });
  return elements.to(target);
}

}  // namespace kvtransfer
