#pragma once

#include <ATen/core/Tensor.h>

#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/rope/specification.hpp"

namespace kvtransfer::rope {

/// Keys moved from one position and specification to another: by q·f_to − p·f_from radians, times s_to / s_from.
///
/// For a length-dependent type that changes its specification (LongRoPE short to long, dynamic NTK), and between
/// models' own bases.
/// @param keys `[batch, kv_heads, seq, head_dim]`, floating, any strides
/// @param from where each key stands, int64 `[seq]` or `[streams, batch or 1, kv_heads or 1, seq]`, tokens
/// @param to where it shall stand, likewise
/// @throws frame_error unless both specifications rotate the same elements in the same pairs; shape_error, value_error,
///         device_error on arguments that do not fit
[[nodiscard]] inline at::Tensor reframe(const at::Tensor& keys, const at::Tensor& from,
                                        const rotary_specification& from_specification, const at::Tensor& to,
                                        const rotary_specification& to_specification, const options& how = {}) {
  return apply(keys, rotation::reframe(from, from_specification, to, to_specification), how, "reframe");
}

/// `reframe` in place. @throws value_error also for keys that require a gradient
inline void reframe_(const at::Tensor& keys, const at::Tensor& from, const rotary_specification& from_specification,
                     const at::Tensor& to, const rotary_specification& to_specification, const options& how = {}) {
  apply_(keys, rotation::reframe(from, from_specification, to, to_specification), how, "reframe_");
}

}  // namespace kvtransfer::rope
