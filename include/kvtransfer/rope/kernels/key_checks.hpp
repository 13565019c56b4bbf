#pragma once

#include <ATen/core/Tensor.h>

namespace kvtransfer::rope::kernels {

/// @throws shape_error or device_error unless the keys are at least one [batch, kv_heads, seq, head_dim] of a type that the
/// kernels take, all of the same extents, type and device
void check_alike(at::TensorList keys);

/// @throws shape_error unless each key may be written where it lies: contiguous head_dim, no element reached twice
void check_writable(at::TensorList keys);

}  // namespace kvtransfer::rope::kernels
