#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/memory_changes.hpp"
#include "kvtransfer/rope/detail/fused_kernels.hpp"
#include "kvtransfer/rope/detail/reference_quantized_rotation.hpp"
#include "kvtransfer/rope/detail/rotation_checks.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/quantized/rotate_quantized_keys.hpp"
#include "kvtransfer/rope/rotate_keys.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "kvtransfer/tensor/kernel_table.hpp"
#include "kvtransfer/tensor/memory.hpp"
#include "kvtransfer/tensor/operations.hpp"
#include "kvtransfer/tensor/quantized/quantize.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer::rope::detail {

KVTRANSFER_INLINE at::Tensor like_elements(const quantized_tensor& keys) {
  const cache_extents extents = keys.extents();
  const at::Tensor one = keys.scales.new_empty({1, 1, 1, 1});
  return one.expand({extents.batch, extents.kv_heads, extents.seq, extents.head_dim});
}

KVTRANSFER_INLINE void require_alike(const std::vector<quantized_tensor>& layers, std::string_view where) {
  require<shape_error>(!layers.empty(), where, "keys", "at least one layer", "none");
  const quantized_tensor& first = layers.front();
  for (const quantized_tensor& keys : layers) {
    validate(keys, where);
    require_same_device(first.codes, keys.codes, where, "keys");
    if (!are_alike(first, keys)) {
      fail<shape_error>(where, "keys", fmt::format("{}, {}", describe(first.scheme), describe(first.codes)),
                        fmt::format("{}, {}", describe(keys.scheme), describe(keys.codes)));
    }
  }
}

KVTRANSFER_INLINE bool rotates_quantized_fused(const quantized_tensor& keys, const rotary_specification& geometry,
                                               const options& how, std::string_view where) {
  const auto lies_in_rows = [](const at::Tensor& tensor) { return tensor.stride(3) == 1 || tensor.size(3) == 1; };
  const bool readable = lies_in_rows(keys.codes) && lies_in_rows(keys.scales) &&
                        (!keys.carried_error.defined() || lies_in_rows(keys.carried_error)) &&
                        geometry.rotary_dim() <= kernel_rotary_dim_limit &&
                        (!keys.minimums.defined() || keys.minimums.strides() == keys.scales.strides()) &&
                        !how.norm_weight.defined();
  return choose_fused(keys.codes, readable, how, "kvtransfer::rotate_quantized_keys_", where);
}

KVTRANSFER_INLINE void fused_rotate_quantized_keys_(const std::vector<quantized_tensor>& layers,
                                                    const checked_rotation& checked, const at::Tensor& valid) {
  std::vector<at::Tensor> codes, scales, minimums, errors;
  for (const quantized_tensor& keys : layers) {
    codes.push_back(keys.codes);
    scales.push_back(keys.scales);
    errors.push_back(keys.carried_error);
    if (keys.minimums.defined()) {
      minimums.push_back(keys.minimums);
    }
  }
  const quantized_tensor& first = layers.front();
  kvtransfer::detail::quantized_layers tensors{codes, scales, minimums, errors};
  tensors.bits = 8 / codes_per_byte(first.scheme.format);
  if (first.scheme.is_per_channel()) {
    tensors.group_ends = integer_tensor(first.groups.ends(), first.device());
    tensors.valid = valid.defined() ? std::optional(valid.squeeze(-1)) : std::nullopt;
  }
  kernels()->rotate_quantized_keys_(as_tensors(checked.rotation, checked.how.angles), tensors);
}

}  // namespace kvtransfer::rope::detail

namespace kvtransfer::rope {

KVTRANSFER_INLINE checked_rotation require_quantized_rotatable(const std::vector<quantized_tensor>& layers,
                                                               const rotation& how_far, const options& how,
                                                               std::string_view where) {
  detail::require_alike(layers, where);
  for (const quantized_tensor& keys : layers) {
    detail::require_writable({keys.codes}, where);
    detail::require_writable({keys.scales}, where);
  }
  const quantized_tensor& first = layers.front();
  const auto fused = [&](const rotary_specification& geometry) {
    return std::ranges::all_of(layers, [&](const quantized_tensor& keys) {
      return detail::rotates_quantized_fused(keys, geometry, how, where);
    });
  };
  checked_rotation checked = detail::checked_with(how_far, detail::like_elements(first), how, where, fused);
  const std::int64_t window_offset = checked.rotation.geometry().window_offset;
  require<value_error>(window_offset % codes_per_byte(first.scheme.format) == 0, where, "window_offset",
                       "an even number for codes of 4 bits", formatted("{}", window_offset));
  return checked;
}

KVTRANSFER_INLINE void rotate_checked_quantized_keys_(std::vector<quantized_tensor>& layers,
                                                      const checked_rotation& checked, const at::Tensor& valid,
                                                      std::string_view where) {
  const quantized_tensor& first = layers.front();
  const at::Tensor counted = kvtransfer::detail::valid_elements(valid, first.extents(), first.device(), where);
  const rotary_specification& geometry = checked.rotation.geometry();
  if (!geometry.rotates() || first.codes.numel() == 0) {
    return;
  }
  for (quantized_tensor& keys : layers) {
    if (!keys.carried_error.defined()) {
      keys.carried_error = kvtransfer::detail::zeros_as(keys.scales);
    }
  }
  if (checked.used == implementation::fused) {
    return detail::fused_rotate_quantized_keys_(layers, checked, counted);
  }
  for (quantized_tensor& keys : layers) {
    const at::Tensor carried = detail::rotated_error(keys, geometry, checked.rotation.gain());
    detail::reference_rotate_quantized_keys_(keys, checked.rotation, checked.how, counted);
    keys.carried_error.copy_(carried);
  }
}

KVTRANSFER_INLINE void rotate_quantized_keys_(std::vector<quantized_tensor>& layers, const rotation& how_far,
                                              const options& how, const at::Tensor& valid, std::string_view where) {
  const checked_rotation checked = require_quantized_rotatable(layers, how_far, how, where);
  std::vector<memory_range> rotated;
  for (const quantized_tensor& keys : layers) {
    rotated.push_back(memory_of(keys.codes));
  }
  memory_changes::instance().note(std::move(rotated), where);  // however far the rotation gets
  rotate_checked_quantized_keys_(layers, checked, valid, where);
}

KVTRANSFER_INLINE void rotate_quantized_keys_(quantized_tensor& keys, const rotation& how_far, const options& how,
                                              const at::Tensor& valid, std::string_view where) {
  std::vector<quantized_tensor> layers = {keys};
  rotate_quantized_keys_(layers, how_far, how, valid, where);
  keys = std::move(layers.front());
}

}  // namespace kvtransfer::rope
