#pragma once

#include <ATen/core/Tensor.h>

#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::rope {

/// Keys moved token by token from one position to another under one specification.
/// @param keys `[batch, kv_heads, seq, head_dim]`, floating, any strides
/// @param from where each key stands, int64 `[seq]` or `[streams, batch or 1, kv_heads or 1, seq]`, tokens
/// @param to where it shall stand, likewise
/// @throws shape_error, value_error, device_error, frame_error on arguments that do not fit
[[nodiscard]] inline at::Tensor remap(const at::Tensor& keys, const at::Tensor& from, const at::Tensor& to,
                                      const rotary_specification& specification, const options& how = {}) {
  return apply(keys, rotation::remap(from, to, specification), how, "remap");
}

/// `remap` in place. @throws value_error also for keys that require a gradient
inline void remap_(const at::Tensor& keys, const at::Tensor& from, const at::Tensor& to,
                   const rotary_specification& specification, const options& how = {}) {
  apply_(keys, rotation::remap(from, to, specification), how, "remap_");
}

}  // namespace kvtransfer::rope
