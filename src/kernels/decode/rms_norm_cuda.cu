#include <ATen/ops/empty_like.h>
#include <c10/cuda/CUDAGuard.h>

#include <algorithm>
#include <tuple>

#include "kernels/cuda_layers.cuh"
#include "kernels/decode/rms_norm.hpp"
#include "kernels/elements_cuda.cuh"
#include "kernels/overlapping_launch_cuda.cuh"

namespace kvtransfer::kernels {
namespace {

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
__global__ void norm(const Element* x, const Element* more, const Element* weight, std::int64_t width, float eps,
                     bool adds_one, Element* sum, Element* normed) {
  let_next_begin();
  wait_for_inputs();
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

constexpr int most_words = 4;  // that a thread keeps

/// The same of rows whose words all lie aligned: x is read once and kept.
template <class Element>
__global__ void __launch_bounds__(most_threads)
    norm_words(const Element* x, const Element* more, const Element* weight, int width, float eps, bool adds_one,
               Element* sum, Element* normed) {
  let_next_begin();
  wait_for_inputs();
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * width;
  float values[most_words][a_word];
  float square = 0;
#pragma unroll
  for (int w = 0; w < most_words; ++w) {
    const int i = (w * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x)) * a_word;
    if (i < width) {
      read_eight(x + first + i, values[w]);
      if (more != nullptr) {
        float added[a_word];
        read_eight(more + first + i, added);
#pragma unroll
        for (int e = 0; e < a_word; ++e) {
          values[w][e] = rounded_to<Element>(values[w][e] + added[e]);
        }
        write_eight(sum + first + i, values[w]);
      }
#pragma unroll
      for (int e = 0; e < a_word; ++e) {
        square = fmaf(values[w][e], values[w][e], square);
      }
    }
  }
  const float scale = rsqrtf(sum_of_block(square) / static_cast<float>(width) + eps);
#pragma unroll
  for (int w = 0; w < most_words; ++w) {
    const int i = (w * static_cast<int>(blockDim.x) + static_cast<int>(threadIdx.x)) * a_word;
    if (i < width) {
      float factors[a_word];
      read_eight(weight + i, factors);
#pragma unroll
      for (int e = 0; e < a_word; ++e) {
        const float value = values[w][e] * scale;
        values[w][e] = adds_one ? value * (factors[e] + 1.0F) : rounded_to<Element>(value) * factors[e];
      }
      write_eight(normed + first + i, values[w]);
    }
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
  const unsigned rows = grid_axis(in.rows, "rms_norm", "x", "rows");
  const auto threads_for = [&](std::int64_t elements) {
    return static_cast<unsigned>(
        std::min<std::int64_t>((in.width + elements * lanes - 1) / (elements * lanes) * lanes, most_threads));
  };
  const bool in_words = in.width % a_word == 0 && in.width <= most_threads * most_words * a_word && is_aligned(in.x) &&
                        is_aligned(weight) && (!more || is_aligned(*in.more));
  with_cuda_element(x.scalar_type(), "rms_norm", [&]<class Element>(Element) {
    const Element* const added = in.more ? elements_of<Element>(*in.more) : nullptr;
    Element* const to_sum = more ? elements_to<Element>(sum) : nullptr;
    if (in_words) {
      launch_overlapping(norm_words<Element>, rows, threads_for(a_word), 0, elements_of<Element>(in.x), added,
                         elements_of<Element>(weight), static_cast<int>(in.width), static_cast<float>(eps), adds_one,
                         to_sum, elements_to<Element>(normed));
    } else {
      launch_overlapping(norm<Element>, rows, threads_for(4), 0, elements_of<Element>(in.x), added,
                         elements_of<Element>(weight), in.width, static_cast<float>(eps), adds_one, to_sum,
                         elements_to<Element>(normed));
    }
  });
  return {sum, normed};
}

}  // namespace

at::Tensor rms_norm_on_cuda(const at::Tensor& x, const at::Tensor& weight, double eps, bool adds_one) {
  return std::get<1>(normed_on_cuda(x, std::nullopt, weight, eps, adds_one));
}

std::tuple<at::Tensor, at::Tensor> add_rms_norm_on_cuda(const at::Tensor& x, const at::Tensor& more,
                                                        const at::Tensor& weight, double eps, bool adds_one) {
  return normed_on_cuda(x, more, weight, eps, adds_one);
}

}  // namespace kvtransfer::kernels
