#pragma once

#include <ATen/core/Tensor.h>

#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::rope {

/// Keys as they were before rotation and attention scaling: the inverse of `rotate`.
/// @param keys `[batch, kv_heads, seq, head_dim]`, floating, any strides
/// @param positions where the keys stand: int64 `[seq]` or `[streams, batch or 1, kv_heads or 1, seq]`, tokens
/// @throws shape_error, value_error, device_error, frame_error on arguments that do not fit
[[nodiscard]] inline at::Tensor unrotate(const at::Tensor& keys, const at::Tensor& positions,
                                         const rotary_specification& specification, const options& how = {}) {
  return apply(keys, rotation::unrotate(positions, specification), how, "unrotate");
}

/// `unrotate` in place. @throws value_error also for keys that require a gradient
inline void unrotate_(const at::Tensor& keys, const at::Tensor& positions, const rotary_specification& specification,
                      const options& how = {}) {
  apply_(keys, rotation::unrotate(positions, specification), how, "unrotate_");
}

}  // namespace kvtransfer::rope
