#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include "kernels/rope/operators.hpp"

// The operators of operators.cpp on CUDA. This file exists where nvcc does; otherwise torch says that there is no such
// kernel.

namespace kvtransfer::rope::kernels {
namespace {

/// Runs an operator with its keys' device current.
template <auto Operator, class Signature>
struct on_device_of_keys;

template <auto Operator, class Result, class... Rest>
struct on_device_of_keys<Operator, Result (*)(at::TensorList, Rest...)> {
  static Result call(at::TensorList keys, Rest... rest) {
    const c10::cuda::OptionalCUDAGuard guard(keys.empty() ? at::Device(at::kCUDA) : keys.front().device());
    return Operator(keys, rest...);
  }
};

template <auto Operator>
inline constexpr auto guarded = &on_device_of_keys<Operator, decltype(Operator)>::call;

}  // namespace
}  // namespace kvtransfer::rope::kernels

TORCH_LIBRARY_IMPL(kvtransfer, CUDA, library) {
  using namespace kvtransfer::rope::kernels;
  library.impl("rotate_keys_", guarded<&rotate_keys_<rotate_on_cuda>>);
  library.impl("rotate_blocks_", guarded<&rotate_blocks_<rotate_on_cuda>>);
  library.impl("rotate_keys", guarded<&rotate_keys<rotate_on_cuda>>);
  library.impl("convert_pairing_", guarded<&convert_pairing_<convert_pairing_on_cuda>>);
}
