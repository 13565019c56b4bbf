#pragma once

#include <ATen/OpMathType.h>
#include <ATen/core/Tensor.h>

#include "kvtransfer/rope/angles.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/tensor/upload.hpp"

namespace kvtransfer::rope::detail {

/// Angles p·f in float64, their difference, and one gain: nothing is rounded before the table is.
inline cos_sin exact_table(const rotation& rotation, at::Device device) {
  at::Tensor angle;
  if (rotation.is_shared_delta()) {
    const at::Tensor inv_freq = uploaded(rotation.to_specification.inv_freq, at::kFloat, device).to(at::kDouble);
    angle = inv_freq.mul(rotation.delta).view({1, 1, 1, -1});
  } else {
    angle = rotation.to.defined() ? angles_at(rotation.to_specification, rotation.to, at::kDouble) : at::Tensor();
    if (rotation.from.defined()) {
      const at::Tensor stored = angles_at(rotation.from_specification, rotation.from, at::kDouble);
      angle = angle.defined() ? angle.sub(stored) : stored.neg();
    }
  }
  const at::Scalar gain = rotation.gain();
  return {angle.cos().mul_(gain), angle.sin().mul_(gain)};
}

/// The model's own fp32 tables T(q)·T(p)⁻¹, composed in float64. Inverting the rounded table, not the ideal rotation,
/// is what brings a float64 key back to the bits before it was written; attention scaling is part of both tables.
inline cos_sin model_faithful_table(const rotation& rotation) {
  cos_sin to;
  if (rotation.to.defined()) {
    to = cos_sin_table(rotation.to_specification, rotation.to, at::kDouble);
  }
  if (!rotation.from.defined()) {
    return to;
  }
  const cos_sin from = cos_sin_table(rotation.from_specification, rotation.from, at::kDouble);
  const at::Tensor norm = from.cos.mul(from.cos).add(from.sin.mul(from.sin));
  if (!rotation.to.defined()) {
    return {from.cos.div(norm), from.sin.neg().div(norm)};
  }
  return {to.cos.mul(from.cos).add(to.sin.mul(from.sin)).div(norm),
          to.sin.mul(from.cos).sub(to.cos.mul(from.sin)).div(norm)};
}

/// `values` rounded once to `dtype`. A rotated pair may exceed the largest fp8 number: it saturates, as fp8 caches do.
inline at::Tensor rounded(const at::Tensor& values, at::ScalarType dtype) {
  const double largest = dtype == at::kFloat8_e4m3fn ? 448 : dtype == at::kFloat8_e5m2 ? 57344 : 0;
  return (largest > 0 ? values.clamp(-largest, largest) : values).to(dtype);
}

/// The rotary window of `keys` after the rotation, in keys' dtype: computed in the table's precision, rounded once.
/// @param keys `[batch, kv_heads, seq, head_dim]`
inline at::Tensor rotated_window(const at::Tensor& keys, const rotation& rotation, const cos_sin& table,
                                 const at::Tensor& norm_weight) {
  const rotary_specification& geometry = rotation.geometry();
  const at::ScalarType arithmetic = table.cos.scalar_type();
  const at::Tensor window = keys.narrow(-1, geometry.window_offset, geometry.rotary_dim()).to(arithmetic);
  if (!norm_weight.defined()) {
    return rounded(rotate_window(window, table, geometry.pairing), keys.scalar_type());
  }
  const at::Tensor weight = norm_weight.narrow(0, geometry.window_offset, geometry.rotary_dim()).to(arithmetic);
  return rounded(rotate_window(window.div(weight), table, geometry.pairing).mul(weight), keys.scalar_type());
}

/// cos and sin of `rotation` in the precision that keys of `dtype` are rotated in.
inline cos_sin rotation_table(const rotation& rotation, at::ScalarType dtype, at::Device device, angle_mode mode) {
  const cos_sin table = mode == angle_mode::exact ? exact_table(rotation, device) : model_faithful_table(rotation);
  const at::ScalarType arithmetic = at::toOpMathType(dtype);
  return {table.cos.to(arithmetic), table.sin.to(arithmetic)};
}

}  // namespace kvtransfer::rope::detail
