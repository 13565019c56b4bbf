#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

namespace kvtransfer::rope::kernels {

/// @param where the operator that complains
/// @throws shape_error or device_error unless the keys are at least one [batch, kv_heads, seq, head_dim], all of the
/// same extents, type and device
void check_alike(at::TensorList keys, std::string_view where);

/// @throws shape_error unless the kernels can rotate keys of this type
void check_element_type(const at::Tensor& key, std::string_view where);

/// @throws shape_error unless each key may be written where it lies: contiguous head_dim, no element reached twice, by
/// one layer or by two
void check_writable(at::TensorList keys, std::string_view where);

}  // namespace kvtransfer::rope::kernels
