#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>

#include "kernels/rope/rotation_arguments.hpp"
#include "kvtransfer/tensor/kernel_table.hpp"

namespace kvtransfer::rope::kernels {

using kvtransfer::detail::rotation_tensors;

/// The element type that the kernels know `dtype` by; nothing where they do not take it.
std::optional<element_type> element_of(at::ScalarType dtype);

/// A tensor as errors of the kernels name it.
std::string described(const at::Tensor& tensor);

/// The strides of `[batch, kv_heads, seq, ...]`.
inline key_strides strides_of(const at::Tensor& tensor) {
  return {tensor.stride(0), tensor.stride(1), tensor.stride(2)};
}

/// Lowers a rotation of keys like `key` to the plain struct, strides and layers left out.
/// @param key [batch, kv_heads, seq, head_dim]: extents, dtype and device that all keys of the call share
/// @param blocks which of its first axis are meant; undefined: all
/// @throws shape_error, device_error or value_error naming the argument that does not fit
rotation_arguments lower(const at::Tensor& key, const rotation_tensors& rotation, const at::Tensor& blocks = {});

}  // namespace kvtransfer::rope::kernels
