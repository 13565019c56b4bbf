#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::rope {

/// Keys moved by `delta` tokens, wherever they stand: a pure rotation, so attention scaling stays applied once.
/// @param keys `[batch, kv_heads, seq, head_dim]`, floating, any strides
/// @throws shape_error, value_error, device_error, frame_error on arguments that do not fit
[[nodiscard]] inline at::Tensor shift(const at::Tensor& keys, std::int64_t delta,
                                      const rotary_specification& specification, const options& how = {}) {
  return apply(keys, rotation::shift(delta, specification), how, "shift");
}

/// `shift` in place. @throws value_error also for keys that require a gradient
inline void shift_(const at::Tensor& keys, std::int64_t delta, const rotary_specification& specification,
                   const options& how = {}) {
  apply_(keys, rotation::shift(delta, specification), how, "shift_");
}

}  // namespace kvtransfer::rope
