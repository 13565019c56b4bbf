#include <ATen/ops/empty_like.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <tuple>

#include "kernels/cuda_layers.cuh"
#include "kernels/decode/rms_norm.hpp"
#include "kernels/elements_cuda.cuh"

namespace kvtransfer::kernels {
namespace {

constexpr int lanes = 32;
constexpr int most_threads = 512;

/// The sum over a block's threads, for each of them.
__device__ float sum_of_block(float value) {
  __shared__ float parts[most_threads / lanes];
  for (int apart = lanes / 2; apart > 0; apart /= 2) {
    value += __shfl_xor_sync(0xffffffffU, value, apart);
  }
  if (threadIdx.x % lanes == 0) {
    parts[threadIdx.x / lanes] = value;
  }
  __syncthreads();
  float sum = 0;
  for (unsigned i = 0; i < blockDim.x / lanes; ++i) {
    sum += parts[i];
  }
  return sum;
}

/// A block a row. @param more, sum null where there is nothing to add
template <class Element>
__global__ void norm(const Element* __restrict__ x, const Element* __restrict__ more,
                     const Element* __restrict__ weight, std::int64_t width, float eps, bool adds_one,
                     Element* __restrict__ sum, Element* __restrict__ normed) {
  const std::int64_t first = blockIdx.x * width;
  float square = 0;
  for (std::int64_t i = threadIdx.x; i < width; i += blockDim.x) {
    float value = widened(x[first + i]);
    if (more != nullptr) {
      value = rounded_to<Element>(value + widened(more[first + i]));
      write(sum + first + i, value);
    }
    square += value * value;
  }
  const float scale = rsqrtf(sum_of_block(square) / static_cast<float>(width) + eps);
  const Element* const from = more == nullptr ? x : sum;  // each thread reads what it wrote itself
  for (std::int64_t i = threadIdx.x; i < width; i += blockDim.x) {
    const float value = widened(from[first + i]) * scale;
    const float factor = widened(weight[i]);
    write(normed + first + i, adds_one ? value * (factor + 1.0F) : rounded_to<Element>(value) * factor);
  }
}

std::tuple<at::Tensor, at::Tensor> normed_on_cuda(const at::Tensor& x, const std::optional<at::Tensor>& more,
                                                  const at::Tensor& weight, double eps, bool adds_one) {
  const c10::cuda::CUDAGuard guard(x.device());
  const norm_rows in = checked_norm(x, more, weight);
  at::Tensor sum = more ? at::empty_like(in.x) : at::Tensor();
  at::Tensor normed = at::empty_like(in.x);
  if (in.rows == 0) {
    return {sum, normed};
  }
  const auto threads = static_cast<unsigned>(
      std::min<std::int64_t>((in.width + 4 * lanes - 1) / (4 * lanes) * lanes, most_threads));  // some four each
  with_cuda_element(x.scalar_type(), "rms_norm", [&]<class Element>(Element) {
    norm<Element><<<grid_axis(in.rows, "rms_norm", "x", "rows"), threads, 0, c10::cuda::getCurrentCUDAStream()>>>(
        elements_of<Element>(in.x), in.more ? elements_of<Element>(*in.more) : nullptr, elements_of<Element>(weight),
        in.width, static_cast<float>(eps), adds_one, more ? elements_to<Element>(sum) : nullptr,
        elements_to<Element>(normed));
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
  return {sum, normed};
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps, bool adds_one) {
  return std::get<1>(normed_on_cuda(x, std::nullopt, weight, eps, adds_one));
}

std::tuple<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& more, const at::Tensor& weight,
                                                double eps, bool adds_one) {
  return normed_on_cuda(x, more, weight, eps, adds_one);
}

}  // namespace
}  // namespace kvtransfer::kernels

TORCH_LIBRARY_IMPL(kvtransfer, CUDA, library) {
  library.impl("rms_norm", TORCH_FN(kvtransfer::kernels::rms_norm));
  library.impl("add_rms_norm", TORCH_FN(kvtransfer::kernels::add_rms_norm));
}
