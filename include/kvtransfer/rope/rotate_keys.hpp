#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/detail/fused_kernels.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/detail/reference_rotation.hpp"
#include "kvtransfer/rope/detail/rotation_checks.hpp"
#include "kvtransfer/rope/rotation.hpp"

namespace kvtransfer::rope {

namespace detail {

/// Whether the fused kernel `name` carries out a rotation of keys like `keys`.
inline bool rotates_fused(const at::Tensor& keys, const rotary_specification& geometry, const options& how,
                        const char* name, std::string_view where) {
  const bool readable =
      kernels_read(keys, geometry.rotary_dim()) && !how.norm_weight.defined() && !loses_gradient(name, keys);
  return choose_fused(keys, readable, how, name, where);
}

}  // namespace detail

/// Which implementation a move of keys like `keys` under `specification` runs on.
/// @throws device_error where `how` asks for the fused kernel and there is none for these keys
inline implementation implementation_used(const at::Tensor& keys, const options& how = {},
                                          const rotary_specification& specification = {}) {
  const bool fused = detail::rotates_fused(keys, specification, how, "kvtransfer::rotate_keys_", "implementation_used");
  return fused ? implementation::fused : implementation::reference;
}

/// Throws what `rotate_keys_` would throw for these arguments and rotates nothing: whoever has several rotations to make can ask for
/// all of them first, and so make all or none.
/// @return `how_far` with four-dimensional positions
inline rotation require_rotatable(const std::vector<at::Tensor>& layers, const rotation& how_far, const options& how = {},
                                std::string_view where = "rotate_keys_") {
  detail::require_alike(layers, where);
  detail::require_writable(layers, where);
  const at::Tensor& sample = layers.front();
  rotation rotation = detail::checked(how_far, sample, how, where);
  if (rotation.geometry().rotates()) {
    detail::rotates_fused(sample, rotation.geometry(), how, "kvtransfer::rotate_keys_", where);
  }
  return rotation;
}

/// Rotates the keys of every layer in place, in one call.
/// @param layers each `[batch, kv_heads, seq, head_dim]`, strides without overlap; all of one shape, dtype and device
/// @param where the operation that errors name
/// @throws shape_error, frame_error, value_error, device_error on arguments that do not fit
inline void rotate_keys_(const std::vector<at::Tensor>& layers, const rotation& how_far, const options& how = {},
                  std::string_view where = "rotate_keys_") {
  const rotation rotation = require_rotatable(layers, how_far, how, where);
  const at::Tensor& sample = layers.front();
  const rotary_specification& geometry = rotation.geometry();
  if (!geometry.rotates() || sample.numel() == 0) {
    return;
  }
  if (detail::rotates_fused(sample, geometry, how, "kvtransfer::rotate_keys_", where)) {
    return detail::call_fused_rotation<void, at::TensorList>("kvtransfer::rotate_keys_", rotation, how.angles, layers);
  }
  const cos_sin table = detail::rotation_table(rotation, sample.scalar_type(), sample.device(), how.angles);
  for (const at::Tensor& keys : layers) {
    keys.narrow(-1, geometry.window_offset, geometry.rotary_dim())
        .copy_(detail::rotated_window(keys, rotation, table, how.norm_weight));
  }
}

/// Rotated copies of the keys of every layer. Differentiable: the gradient rotates back by the same angle.
/// @param layers as for `rotate_keys_`; strides may overlap, since nothing is written
inline std::vector<at::Tensor> rotate_keys(const std::vector<at::Tensor>& layers, const rotation& how_far,
                                    const options& how = {}, std::string_view where = "rotate_keys") {
  detail::require_alike(layers, where);
  const at::Tensor& sample = layers.front();
  const rotation rotation = detail::checked(how_far, sample, how, where);
  const rotary_specification& geometry = rotation.geometry();
  std::vector<at::Tensor> rotated;
  rotated.reserve(layers.size());
  if (!geometry.rotates() || sample.numel() == 0) {
    for (const at::Tensor& keys : layers) {
      rotated.push_back(keys.clone());
    }
    return rotated;
  }
  const auto tracked = std::ranges::find_if(layers, [](const at::Tensor& keys) { return keys.requires_grad(); });
  if (detail::rotates_fused(tracked == layers.end() ? sample : *tracked, geometry, how, "kvtransfer::rotate_keys", where)) {
    return detail::call_fused_rotation<std::vector<at::Tensor>, at::TensorList>("kvtransfer::rotate_keys", rotation, how.angles,
                                                                            layers);
  }
  const cos_sin table = detail::rotation_table(rotation, sample.scalar_type(), sample.device(), how.angles);
  for (const at::Tensor& keys : layers) {
    rotated.push_back(
        replace_window(keys, detail::rotated_window(keys, rotation, table, how.norm_weight), geometry.window_offset));
  }
  return rotated;
}

}  // namespace kvtransfer::rope
