#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/rope/specification.hpp"

// The moves of one bare tensor of keys, each by name; a cache moves its keys by its own members (cache/key_moves.hpp).

namespace kvtransfer::rope {

/// Keys that carry no rotation, rotated to `positions` and scaled by the attention scaling: what a cache holds.
/// @param keys `[batch, kv_heads, seq, head_dim]`, floating, any strides
/// @param positions int64 `[seq]` or `[streams, batch or 1, kv_heads or 1, seq]`, tokens
/// @throws shape_error, value_error, device_error, frame_error on arguments that do not fit
[[nodiscard]] at::Tensor rotate(const at::Tensor& keys, const at::Tensor& positions,
                                const rotary_specification& specification, const options& how = {});

/// `rotate` in place. @throws value_error also for keys that require a gradient
void rotate_(const at::Tensor& keys, const at::Tensor& positions, const rotary_specification& specification,
             const options& how = {});

/// Keys as they were before rotation and attention scaling: the inverse of `rotate`.
/// @param keys `[batch, kv_heads, seq, head_dim]`, floating, any strides
/// @param positions where the keys stand: int64 `[seq]` or `[streams, batch or 1, kv_heads or 1, seq]`, tokens
/// @throws shape_error, value_error, device_error, frame_error on arguments that do not fit
[[nodiscard]] at::Tensor unrotate(const at::Tensor& keys, const at::Tensor& positions,
                                  const rotary_specification& specification, const options& how = {});

/// `unrotate` in place. @throws value_error also for keys that require a gradient
void unrotate_(const at::Tensor& keys, const at::Tensor& positions, const rotary_specification& specification,
               const options& how = {});

/// Keys moved by `delta` tokens, wherever they stand: a pure rotation, so attention scaling stays applied once.
/// @param keys `[batch, kv_heads, seq, head_dim]`, floating, any strides
/// @throws shape_error, value_error, device_error, frame_error on arguments that do not fit
[[nodiscard]] at::Tensor shift(const at::Tensor& keys, std::int64_t delta, const rotary_specification& specification,
                               const options& how = {});

/// `shift` in place. @throws value_error also for keys that require a gradient
void shift_(const at::Tensor& keys, std::int64_t delta, const rotary_specification& specification,
            const options& how = {});

/// Keys moved token by token from one position to another under one specification.
/// @param keys `[batch, kv_heads, seq, head_dim]`, floating, any strides
/// @param from where each key stands, int64 `[seq]` or `[streams, batch or 1, kv_heads or 1, seq]`, tokens
/// @param to where it shall stand, likewise
/// @throws shape_error, value_error, device_error, frame_error on arguments that do not fit
[[nodiscard]] at::Tensor remap(const at::Tensor& keys, const at::Tensor& from, const at::Tensor& to,
                               const rotary_specification& specification, const options& how = {});

/// `remap` in place. @throws value_error also for keys that require a gradient
void remap_(const at::Tensor& keys, const at::Tensor& from, const at::Tensor& to,
            const rotary_specification& specification, const options& how = {});

/// Keys moved from one position and specification to another: by q·f_to − p·f_from radians, times s_to / s_from.
///
/// For a length-dependent type that changes its specification (LongRoPE short to long, dynamic NTK), and between
/// models' own bases.
/// @param keys `[batch, kv_heads, seq, head_dim]`, floating, any strides
/// @param from where each key stands, int64 `[seq]` or `[streams, batch or 1, kv_heads or 1, seq]`, tokens
/// @param to where it shall stand, likewise
/// @throws frame_error unless both specifications rotate the same elements in the same pairs; shape_error, value_error,
///         device_error on arguments that do not fit
[[nodiscard]] at::Tensor reframe(const at::Tensor& keys, const at::Tensor& from,
                                 const rotary_specification& from_specification, const at::Tensor& to,
                                 const rotary_specification& to_specification, const options& how = {});

/// `reframe` in place. @throws value_error also for keys that require a gradient
void reframe_(const at::Tensor& keys, const at::Tensor& from, const rotary_specification& from_specification,
              const at::Tensor& to, const rotary_specification& to_specification, const options& how = {});

}  // namespace kvtransfer::rope

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/rope/detail/move_tensor.ipp"  // IWYU pragma: export
#endif
