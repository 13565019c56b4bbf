#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <string_view>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/memory_changes.hpp"
#include "kvtransfer/rope/detail/fp8_range.hpp"
#include "kvtransfer/rope/detail/fused_kernels.hpp"
#include "kvtransfer/rope/detail/reference_rotation.hpp"
#include "kvtransfer/rope/detail/rotation_checks.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/tensor/memory.hpp"

namespace kvtransfer::rope {

KVTRANSFER_INLINE implementation implementation_used(const at::Tensor& keys, const options& how,
                                                     const rotary_specification& specification) {
  const bool fused = detail::rotates_fused(keys, specification, how, "kvtransfer::rotate_keys_", "implementation_used");
  return fused ? implementation::fused : implementation::reference;
}

}  // namespace kvtransfer::rope

namespace kvtransfer::rope::detail {

KVTRANSFER_INLINE checked_rotation checked_for(const char* name, const rotation& how_far, const at::Tensor& sample,
                                               const options& how, std::string_view where) {
  return checked_with(how_far, sample, how, where, [&](const rotary_specification& geometry) {
    return rotates_fused(sample, geometry, how, name, where);
  });
}

KVTRANSFER_INLINE void rotate_by_reference_(const std::vector<at::Tensor>& layers, const checked_rotation& checked) {
  const at::Tensor& sample = layers.front();
  const rotary_specification& geometry = checked.rotation.geometry();
  const cos_sin table = rotation_table(checked.rotation, sample.scalar_type(), sample.device(), checked.how.angles);
  for (const at::Tensor& keys : layers) {
    keys.narrow(-1, geometry.window_offset, geometry.rotary_dim())
        .copy_(rotated_window(keys, checked.rotation, table, checked.how.norm_weight));
  }
}

KVTRANSFER_INLINE void rotate_by_(const checked_rotation& checked, const std::vector<at::Tensor>& layers) {
  if (checked.used == implementation::fused) {
    return kernels()->rotate_keys_(as_tensors(checked.rotation, checked.how.angles), layers);
  }
  rotate_by_reference_(layers, checked);
}

KVTRANSFER_INLINE void require_in_fp8(const std::vector<at::Tensor>& layers, const checked_rotation& checked,
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

}  // namespace kvtransfer::rope::detail

namespace kvtransfer::rope {

KVTRANSFER_INLINE checked_rotation require_rotatable(const std::vector<at::Tensor>& layers, const rotation& how_far,
                                                     const options& how, std::string_view where) {
  detail::require_alike(layers, where);
  detail::require_writable(layers, where);
  checked_rotation checked = detail::checked_for("kvtransfer::rotate_keys_", how_far, layers.front(), how, where);
  detail::require_in_fp8(layers, checked, {}, where);
  return checked;
}

KVTRANSFER_INLINE void rotate_checked_keys_(const std::vector<at::Tensor>& layers, const checked_rotation& checked) {
  if (!checked.rotation.geometry().rotates() || layers.front().numel() == 0) {
    return;
  }
  detail::rotate_by_(checked, layers);
}

KVTRANSFER_INLINE void rotate_keys_(const std::vector<at::Tensor>& layers, const rotation& how_far, const options& how,
                                    std::string_view where) {
  const checked_rotation checked = require_rotatable(layers, how_far, how, where);
  memory_changes::instance().note(memory_of(layers), where);  // however far the rotation gets
  rotate_checked_keys_(layers, checked);
}

KVTRANSFER_INLINE std::vector<at::Tensor> rotate_keys(const std::vector<at::Tensor>& layers, const rotation& how_far,
                                                      const options& how, std::string_view where) {
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

KVTRANSFER_INLINE at::Tensor apply(const at::Tensor& keys, const rotation& how_far, const options& how,
                                   std::string_view where) {
  return rotate_keys({keys}, how_far, how, where).front();
}

KVTRANSFER_INLINE void apply_(const at::Tensor& keys, const rotation& how_far, const options& how,
                              std::string_view where) {
  rotate_keys_({keys}, how_far, how, where);
}

}  // namespace kvtransfer::rope
