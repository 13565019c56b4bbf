#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <vector>

#include "kernels/cuda_layers.cuh"
#include "kernels/elements_cuda.cuh"
#include "kernels/linear/few_rows_linear.hpp"
#include "kvtransfer/tensor/checks.hpp"

// A warp owns a row of the matrix, a lane eight elements of each 256, so that the matrix is read in whole lines and
// once.

namespace kvtransfer::kernels {
namespace {

constexpr int lanes = 32;
constexpr int warps_a_block = 4;
constexpr int elements_a_lane = 8;

template <class Element, int Rows>
__global__ void __launch_bounds__(lanes* warps_a_block)
    multiply_few(const Element* __restrict__ weight, std::int64_t out_features, std::int64_t in,
                 const Element* __restrict__ x, int rows, const Element* __restrict__ bias, Element* __restrict__ y) {
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const std::int64_t out =
      static_cast<std::int64_t>(blockIdx.x) * warps_a_block + static_cast<int>(threadIdx.x) / lanes;
  if (out >= out_features) {
    return;
  }
  float sums[Rows] = {};
#pragma unroll 4
  for (std::int64_t k = lane * elements_a_lane; k < in; k += lanes * elements_a_lane) {
    float values[elements_a_lane];
    read_eight(weight + out * in + k, values);
#pragma unroll
    for (int m = 0; m < Rows; ++m) {
      float factors[elements_a_lane];
      read_eight(x + static_cast<std::int64_t>(m < rows ? m : 0) * in + k, factors);
#pragma unroll
      for (int i = 0; i < elements_a_lane; ++i) {
        sums[m] = fmaf(values[i], factors[i], sums[m]);
      }
    }
  }
#pragma unroll
  for (int m = 0; m < Rows; ++m) {
    for (int apart = lanes / 2; apart > 0; apart /= 2) {
      sums[m] += __shfl_xor_sync(0xffffffffU, sums[m], apart);
    }
    if (lane == 0 && m < rows) {
      write(y + m * out_features + out, sums[m] + (bias == nullptr ? 0.0F : widened(bias[out])));
    }
  }
}

at::Tensor few_rows_linear(const at::Tensor& x, const at::Tensor& weight, const std::optional<at::Tensor>& bias) {
  const c10::cuda::CUDAGuard guard(x.device());
  const at::Tensor rows = checked_few_rows(x, weight, bias);
  require<value_error>(
      weight.size(1) % elements_a_lane == 0 && is_aligned(weight) && is_aligned(rows), "few_rows_linear", "weight",
      "rows of a multiple of 8 elements, from an address divisible by 16 on", [&] { return describe(weight); });
  std::vector<std::int64_t> shape = x.sizes().vec();
  shape.back() = weight.size(0);
  at::Tensor y = at::empty(shape, x.options());
  if (y.numel() == 0) {
    return y;
  }
  const unsigned blocks =
      grid_axis((weight.size(0) + warps_a_block - 1) / warps_a_block, "few_rows_linear", "weight", "blocks of rows");
  with_cuda_element(x.scalar_type(), "few_rows_linear", [&]<class Element>(Element) {
    const auto launch = [&](auto multiply) {
      multiply<<<blocks, lanes * warps_a_block, 0, c10::cuda::getCurrentCUDAStream()>>>(
          elements_of<Element>(weight), weight.size(0), weight.size(1), elements_of<Element>(rows),
          static_cast<int>(rows.size(0)), bias ? elements_of<Element>(*bias) : nullptr, elements_to<Element>(y));
      C10_CUDA_KERNEL_LAUNCH_CHECK();
    };
    switch (rows.size(0)) {
      case 1:
        return launch(multiply_few<Element, 1>);
      case 2:
        return launch(multiply_few<Element, 2>);
      case 3:
      case 4:
        return launch(multiply_few<Element, 4>);
      default:
        return launch(multiply_few<Element, 8>);
    }
  });
  return y;
}

}  // namespace
}  // namespace kvtransfer::kernels

TORCH_LIBRARY_IMPL(kvtransfer, CUDA, library) {
  library.impl("few_rows_linear", TORCH_FN(kvtransfer::kernels::few_rows_linear));
}
