#pragma once

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAGuard.h>
#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <string_view>

#include "kvtransfer/core/error.hpp"

namespace kvtransfer::kernels {

/// Layers that one launch takes: their addresses are its parameters.
inline constexpr std::int64_t layers_per_launch = 128;

/// So many blocks along a grid's first axis. @throws shape_error where CUDA has not that many
/// @param counted what there is a block for
inline unsigned grid_axis(std::int64_t blocks, std::string_view where, std::string_view what,
                          std::string_view counted) {
  require<shape_error>(blocks <= std::numeric_limits<std::int32_t>::max(), where, what,
                       fmt::format("fewer than 2^31 {} of a layer on CUDA", counted), fmt::format("{}", blocks));
  return static_cast<unsigned>(blocks);
}

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
