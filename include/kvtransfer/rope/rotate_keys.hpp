#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "kvtransfer/core/memory_changes.hpp"
#include "kvtransfer/rope/detail/fp8_range.hpp"
#include "kvtransfer/rope/detail/fused_kernels.hpp"
#include "kvtransfer/rope/detail/reference_rotation.hpp"
#include "kvtransfer/rope/detail/rotation_checks.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/tensor/memory.hpp"

namespace kvtransfer::rope {

/// A rotation that fits the keys it was checked against, and how it will be carried out. Whoever has several rotations
/// to make checks all of them first, and so makes all or none; none is checked again.
struct checked_rotation {
  rope::rotation rotation;  ///< with four-dimensional positions
  options how;              ///< as asked for
  implementation used;      ///< never automatic
};

/// Which implementation a rotation of keys like `keys` under `specification` runs on.
/// @throws device_error where `how` asks for the fused kernel and there is none for these keys
[[nodiscard]] inline implementation implementation_used(const at::Tensor& keys, const options& how = {},
                                                        const rotary_specification& specification = {}) {
  const bool fused = detail::rotates_fused(keys, specification, how, "kvtransfer::rotate_keys_", "implementation_used");
  return fused ? implementation::fused : implementation::reference;
}

namespace detail {

/// `how_far` checked against keys like `sample`.
/// @param fused asks whether the fused kernel carries it out; asked where it rotates anything
template <class Fused>
[[nodiscard]] checked_rotation checked_with(const rotation& how_far, const at::Tensor& sample, const options& how,
                                            std::string_view where, Fused&& fused) {
  rotation rotation = checked(how_far, sample, how, where);
  const std::int64_t reach = farthest(rotation);
  require_exact_positions(reach, where);
  require<device_error>(reach <= kernel_position_limit || how.use != implementation::fused, where, "options.use",
                        formatted("another implementation for positions beyond {}", kernel_position_limit),
                        formatted("fused, {} from 0", reach));
  const bool near = reach <= kernel_position_limit;  // beyond, float64 angles are exact where the kernels' are not
  const bool by_kernel = rotation.geometry().rotates() && near && fused(rotation.geometry());
  return {std::move(rotation), how, by_kernel ? implementation::fused : implementation::reference};
}

/// `how_far` checked against keys like `sample`, to be carried out by the kernel `name` where it can.
[[nodiscard]] inline checked_rotation checked_for(const char* name, const rotation& how_far, const at::Tensor& sample,
                                                  const options& how, std::string_view where) {
  return checked_with(how_far, sample, how, where, [&](const rotary_specification& geometry) {
    return rotates_fused(sample, geometry, how, name, where);
  });
}

/// Rotates by ATen, in place.
inline void rotate_by_reference_(const std::vector<at::Tensor>& layers, const checked_rotation& checked) {
  const at::Tensor& sample = layers.front();
  const rotary_specification& geometry = checked.rotation.geometry();
  const cos_sin table = rotation_table(checked.rotation, sample.scalar_type(), sample.device(), checked.how.angles);
  for (const at::Tensor& keys : layers) {
    keys.narrow(-1, geometry.window_offset, geometry.rotary_dim())
        .copy_(rotated_window(keys, checked.rotation, table, checked.how.norm_weight));
  }
}

/// Rotates, in place, what is checked and not empty.
inline void rotate_by_(const checked_rotation& checked, const std::vector<at::Tensor>& layers) {
  if (checked.used == implementation::fused) {
    return kernels()->rotate_keys_(as_tensors(checked.rotation, checked.how.angles), layers);
  }
  rotate_by_reference_(layers, checked);
}

/// @param valid bool `[batch, kv_heads or 1, seq]`: false for padding; undefined: all
/// @throws value_error where a key in fp8 would outgrow its type, so that nothing could bring it back
inline void require_in_fp8(const std::vector<at::Tensor>& layers, const checked_rotation& checked,
                           const at::Tensor& valid, std::string_view where) {
  const code_format_description* const format = fp8_format_of(layers.front().scalar_type());
  const rotary_specification& geometry = checked.rotation.geometry();
  if (format == nullptr || !geometry.rotates() || layers.front().numel() == 0) {
    return;
  }
  for (const at::Tensor& keys : layers) {
    const at::Tensor window = keys.narrow(-1, geometry.window_offset, geometry.rotary_dim());
    if (checked.how.norm_weight.defined() || !fits_at_any_angle(window, checked.rotation.gain(), *format)) {
      const at::Tensor rotated = keys.to(at::kFloat).contiguous();
      rotate_by_(checked, {rotated});
      require_in_range(rotated, *format, valid.defined() ? valid.unsqueeze(-1) : valid, where);
    }
  }
}

}  // namespace detail

/// Throws what `rotate_keys_` would throw for these arguments and rotates nothing.
/// @return what `rotate_checked_keys_` takes for these layers
inline checked_rotation require_rotatable(const std::vector<at::Tensor>& layers, const rotation& how_far,
                                          const options& how = {}, std::string_view where = "rotate_keys_") {
  detail::require_alike(layers, where);
  detail::require_writable(layers, where);
  checked_rotation checked = detail::checked_for("kvtransfer::rotate_keys_", how_far, layers.front(), how, where);
  detail::require_in_fp8(layers, checked, {}, where);
  return checked;
}

/// `rotate_keys_` for layers that `require_rotatable` has let through.
inline void rotate_checked_keys_(const std::vector<at::Tensor>& layers, const checked_rotation& checked) {
  if (!checked.rotation.geometry().rotates() || layers.front().numel() == 0) {
    return;
  }
  detail::rotate_by_(checked, layers);
}

/// Rotates the keys of every layer in place, in one call. Views and owners of a cache that these tensors belong to find
/// out, and refuse to read them as they stood.
/// @param layers each `[batch, kv_heads, seq, head_dim]`, strides without overlap; all of one shape, dtype and device
/// @param where the operation that errors name
/// @throws shape_error, frame_error, value_error, device_error on arguments that do not fit; value_error where a key in
/// fp8 would outgrow its type (to find out takes a look at the numbers). One in float16 becomes infinite, as it would
/// for the model that rotates it.
inline void rotate_keys_(const std::vector<at::Tensor>& layers, const rotation& how_far, const options& how = {},
                         std::string_view where = "rotate_keys_") {
  const checked_rotation checked = require_rotatable(layers, how_far, how, where);
  memory_changes::instance().note(memory_of(layers), where);  // however far the rotation gets
  rotate_checked_keys_(layers, checked);
}

/// Rotated copies of the keys of every layer. Differentiable: the gradient rotates back by the same angle.
/// @param layers as for `rotate_keys_`; strides may overlap, since nothing is written
[[nodiscard]] inline std::vector<at::Tensor> rotate_keys(const std::vector<at::Tensor>& layers, const rotation& how_far,
                                                         const options& how = {},
                                                         std::string_view where = "rotate_keys") {
  detail::require_alike(layers, where);
  const auto tracked = std::ranges::find_if(layers, &at::Tensor::requires_grad);
  const at::Tensor& sample = tracked == layers.end() ? layers.front() : *tracked;
  const checked_rotation checked = detail::checked_for("kvtransfer::rotate_keys", how_far, sample, how, where);
  detail::require_in_fp8(layers, checked, {}, where);
  const auto& [rotation, _, used] = checked;
  const rotary_specification& geometry = rotation.geometry();
  std::vector<at::Tensor> rotated;
  rotated.reserve(layers.size());
  if (!geometry.rotates() || sample.numel() == 0) {
    std::ranges::transform(layers, std::back_inserter(rotated), [](const at::Tensor& keys) { return keys.clone(); });
    return rotated;
  }
  if (used == implementation::fused) {
    return detail::kernels()->rotate_keys(detail::as_tensors(rotation, how.angles), layers);
  }
  const cos_sin table = detail::rotation_table(rotation, sample.scalar_type(), sample.device(), how.angles);
  for (const at::Tensor& keys : layers) {
    rotated.push_back(
        replace_window(keys, detail::rotated_window(keys, rotation, table, how.norm_weight), geometry.window_offset));
  }
  return rotated;
}

/// Keys of one layer, rotated. Differentiable.
/// @param keys `[batch, kv_heads, seq, head_dim]`, floating, any strides
/// @throws as `rotate_keys`
[[nodiscard]] inline at::Tensor apply(const at::Tensor& keys, const rotation& how_far, const options& how = {},
                                      std::string_view where = "apply") {
  return rotate_keys({keys}, how_far, how, where).front();
}

/// `apply` in place. @throws as `rotate_keys_`
inline void apply_(const at::Tensor& keys, const rotation& how_far, const options& how = {},
                   std::string_view where = "apply_") {
  rotate_keys_({keys}, how_far, how, where);
}

}  // namespace kvtransfer::rope
