#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "kernels/rope/rotation_arguments.hpp"

namespace kvtransfer::rope::kernels {

/// The arguments of `kvtransfer::rotate` but the keys, as the dispatcher passes them; operators.cpp describes each.
struct rotation_tensors {
  std::optional<at::Tensor> from;
  std::optional<at::Tensor> to;
  std::int64_t delta = 0;
  std::optional<at::Tensor> from_inv_freq;
  std::optional<at::Tensor> to_inv_freq;
  std::optional<at::Tensor> stream_of;
  double gain = 1;
  std::int64_t window_offset = 0;
  bool interleaved = false;
  bool model_faithful = false;
  std::optional<at::Tensor> rows = std::nullopt;  ///< `rotate_blocks_` alone has it
};

/// The element type that the kernels know `dtype` by; nothing where they do not take it.
std::optional<element_type> element_of(at::ScalarType dtype);

/// Lowers a rotation of keys like `key` to the plain struct, strides and layers left out.
/// @param key [batch, kv_heads, seq, head_dim]: extents, dtype and device that all keys of the call share
/// @throws shape_error, device_error or value_error naming the argument that does not fit
rotation_arguments lower(const at::Tensor& key, const rotation_tensors& rotation);

}  // namespace kvtransfer::rope::kernels
