#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/rope/angles.hpp"
#include "kvtransfer/rope/options.hpp"
#include "kvtransfer/rope/pairing.hpp"
#include "kvtransfer/rope/specification.hpp"
#include "kvtransfer/rope/rotation.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/fused_kernel.hpp"

namespace kvtransfer::rope::detail {

/// The most elements of a head that the fused kernels rotate.
inline constexpr std::int64_t kernel_rotary_dim_limit = 512;

using kvtransfer::detail::find_kernel;
using kvtransfer::detail::has_kernel;

/// True if autograd would lose track of `keys` in the operation `name`: they need a gradient and it has none.
inline bool loses_gradient(const char* name, const at::Tensor& keys) {
  const auto kernel = find_kernel(name);
  return keys.requires_grad() && at::GradMode::is_enabled() && kernel.has_value() &&
         !kernel->hasKernelForDispatchKey(c10::DispatchKey::Autograd) &&
         !kernel->hasKernelForDispatchKey(keys.is_cuda() ? c10::DispatchKey::AutogradCUDA
                                                         : c10::DispatchKey::AutogradCPU);
}

/// True if the fused kernels can read `keys`: they compute in fp32, on heads whose elements lie side by side.
inline bool kernels_read(const at::Tensor& keys, std::int64_t rotary_dim) {
  return keys.scalar_type() != at::kDouble && (keys.stride(-1) == 1 || keys.size(-1) == 1) &&
         rotary_dim <= kernel_rotary_dim_limit;
}

/// Whether the kernel `name` does the work on `keys`.
/// @param readable whether it could
/// @throws device_error where `how` asks for the fused kernel and there is none for these keys
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

/// Calls a fused rotation with everything but the keys taken from `rotate_keys`.
/// @tparam Keys the types of what comes before that in the kernel's schema, exactly
/// @param keys what says which keys are meant
template <class Result, class... Keys>
Result call_fused_rotation(const char* name, const rotation& rotation, angle_mode mode, std::type_identity_t<Keys>... keys) {
  using optional_tensor = std::optional<at::Tensor>;
  using signature =
      Result(Keys..., const optional_tensor&, const optional_tensor&, std::int64_t, const optional_tensor&,
             const optional_tensor&, const optional_tensor&, double, std::int64_t, bool, bool);
  const auto if_defined = [](const at::Tensor& tensor) {
    return tensor.defined() ? optional_tensor(tensor) : std::nullopt;
  };
  const auto frequencies = [](const rotary_specification& specification, bool used) {
    return used ? optional_tensor(tensor_of(specification.inv_freq, at::kFloat, at::kCPU)) : std::nullopt;
  };
  const rotary_specification& geometry = rotation.geometry();
  const optional_tensor stream_of =
      geometry.stream_of.empty() ? std::nullopt : optional_tensor(tensor_of(geometry.stream_of, at::kByte, at::kCPU));
  return find_kernel(name)->typed<signature>().call(
      keys..., if_defined(rotation.from), if_defined(rotation.to), rotation.delta,
      frequencies(rotation.from_specification, rotation.from.defined()),
      frequencies(rotation.to_specification, rotation.to.defined() || rotation.is_shared_delta()), stream_of, rotation.gain(),
      geometry.window_offset, geometry.pairing == pairing::interleaved, mode == angle_mode::model_faithful);
}

/// Calls the fused pairing conversion.
inline void call_fused_conversion(const char* name, at::TensorList keys, const rotary_specification& specification,
                                  pairing to) {
  find_kernel(name)->typed<void(at::TensorList, std::int64_t, std::int64_t, bool)>().call(
      keys, specification.window_offset, specification.rotary_dim(), to == pairing::interleaved);
}

}  // namespace kvtransfer::rope::detail
