#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/pairing.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/rope/specification.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/kernel_table.hpp"
#include "kvtransfer/tensor/upload.hpp"

namespace kvtransfer::rope::detail {

/// The most elements of a head that the fused kernels rotate.
inline constexpr std::int64_t kernel_rotary_dim_limit = 512;

using kvtransfer::detail::has_kernel;
using kvtransfer::detail::kernels;
using kvtransfer::detail::rotation_tensors;

/// True if autograd would lose track of `keys` in the operation `name`: they need a gradient and it has none.
inline bool loses_gradient(const char* name, const at::Tensor& keys) {
  return keys.requires_grad() && at::GradMode::is_enabled() && kernels() != nullptr &&
         !kernels()->has_autograd(name, keys.device().type());
}

/// True if the fused kernels can read `keys`: they compute in fp32, on heads whose elements lie side by side.
inline bool kernels_read(const at::Tensor& keys, std::int64_t rotary_dim) {
  return keys.scalar_type() != at::kDouble && (keys.stride(-1) == 1 || keys.size(-1) == 1) &&
         rotary_dim <= kernel_rotary_dim_limit;
}

/// Whether the fused kernel `name` does the work on `keys`.
/// @param readable whether it could
/// @throws device_error where `how` asks for it and there is none for these keys
inline bool choose_fused(const at::Tensor& keys, bool readable, const options& how, const char* name,
                         std::string_view where) {
  if (how.use == implementation::reference) {
    return false;
  }
  const bool loaded = has_kernel(name, keys.device());
  if (how.use == implementation::fused && !(loaded && readable)) {
    fail<device_error>(
        where, "options.use",
        loaded ? "keys that the fused kernel reads (32 bits or fewer, contiguous head_dim, rotary_dim <= 512, "
                 "no norm weight, no gradient unless it has one), or another implementation"
               : "the library kvtransfer_kernels with a kernel for the device, or another implementation",
        describe(keys));
  }
  return loaded && readable;
}

/// Whether the fused kernel `name` carries out a rotation of keys like `keys`.
/// @throws device_error where `how` asks for it and there is none for these keys
inline bool rotates_fused(const at::Tensor& keys, const rotary_specification& geometry, const options& how,
                          const char* name, std::string_view where) {
  const bool readable =
      kernels_read(keys, geometry.rotary_dim()) && !how.norm_weight.defined() && !loses_gradient(name, keys);
  return choose_fused(keys, readable, how, name, where);
}

/// `rotation` as the operators take it.
inline rotation_tensors as_tensors(const rotation& rotation, angle_mode mode) {
  const auto if_defined = [](const at::Tensor& tensor) {
    return tensor.defined() ? std::optional(tensor) : std::nullopt;
  };
  const auto frequencies = [](const rotary_specification& specification, bool used) {
    return used ? std::optional(uploaded(specification.inv_freq, at::kFloat, at::kCPU)) : std::nullopt;
  };
  const rotary_specification& geometry = rotation.geometry();
  rotation_tensors tensors;
  tensors.from_positions = if_defined(rotation.from);
  tensors.to_positions = if_defined(rotation.to);
  tensors.delta = rotation.delta;
  tensors.from_inv_freq = frequencies(rotation.from_specification, rotation.from.defined());
  tensors.to_inv_freq = frequencies(rotation.to_specification, rotation.to.defined() || rotation.is_shared_delta());
  if (!geometry.stream_of.empty()) {
    tensors.stream_of = uploaded(geometry.stream_of, at::kByte, at::kCPU);
  }
  tensors.gain = rotation.gain();
  tensors.window_offset = geometry.window_offset;
  tensors.interleaved = geometry.pairing == pairing::interleaved;
  tensors.model_faithful = mode == angle_mode::model_faithful;
  return tensors;
}

}  // namespace kvtransfer::rope::detail
