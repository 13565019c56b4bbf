#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "kvtransfer/rope/detail/fused_kernels.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "kvtransfer/tensor/quantized/quantized_tensor.hpp"

namespace kvtransfer::rope::detail {

/// Whether the fused kernel rotates keys like these.
/// @throws device_error where `how` asks for it and there is none for them
inline bool rotates_quantized_fused(const quantized_tensor& keys, const rotary_specification& geometry,
                                  const options& how, std::string_view where) {
  const auto lies_in_rows = [](const at::Tensor& tensor) { return tensor.stride(3) == 1 || tensor.size(3) == 1; };
  const bool readable = lies_in_rows(keys.codes) && lies_in_rows(keys.scales) &&
                        (!keys.carried_error.defined() || lies_in_rows(keys.carried_error)) &&
                        geometry.rotary_dim() <= kernel_rotary_dim_limit &&
                        (!keys.minimums.defined() || keys.minimums.strides() == keys.scales.strides()) &&
                        !how.norm_weight.defined();
  return choose_fused(keys.codes, readable, how, "kvtransfer::rotate_quantized_keys_", where);
}

/// Rotates all layers in one call, and what their errors come to with them.
/// @param layers alike, `carried_error` included, which is written to
/// @param held bool `[batch or 1, kv_heads or 1, seq, 1]`, or undefined
inline void fused_rotate_quantized_keys_(const std::vector<quantized_tensor>& layers, const rotation& rotation, const options& how,
                                  const at::Tensor& held) {
  using optional_tensor = std::optional<at::Tensor>;
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
  const bool per_channel = first.scheme.is_per_channel();
  const optional_tensor ends =
      per_channel ? optional_tensor(integer_tensor(first.groups.ends(), first.device())) : std::nullopt;
  const optional_tensor counted = per_channel && held.defined() ? optional_tensor(held.squeeze(-1)) : std::nullopt;
  call_fused_rotation<void, at::TensorList, at::TensorList, at::TensorList, at::TensorList, const optional_tensor&,
                  const optional_tensor&, std::int64_t>("kvtransfer::rotate_quantized_keys_", rotation, how.angles, codes, scales,
                                                        minimums, errors, ends, counted,
                                                        8 / codes_per_byte(first.scheme.format));
}

}  // namespace kvtransfer::rope::detail
