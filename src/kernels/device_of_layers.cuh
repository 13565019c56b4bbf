#pragma once

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAGuard.h>

namespace kvtransfer::kernels {

/// An operator's function with the device of its first list of tensors current.
template <auto Function, class Signature = decltype(Function)>
struct on_device_of_layers;

template <auto Function, class Result, class... Rest>
struct on_device_of_layers<Function, Result (*)(at::TensorList, Rest...)> {
  static Result call(at::TensorList layers, Rest... rest) {
    const c10::cuda::OptionalCUDAGuard guard(layers.empty() ? at::Device(at::kCUDA) : layers.front().device());
    return Function(layers, rest...);
  }
};

template <auto Function>
inline constexpr auto guarded = &on_device_of_layers<Function>::call;

}  // namespace kvtransfer::kernels
