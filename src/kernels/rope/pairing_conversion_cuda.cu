#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <cstdint>

#include "kernels/rope/pairing_conversion.hpp"
#include "kernels/words.hpp"

namespace kvtransfer::rope::kernels {
namespace {

/// One block reorders a head of a token at a time: all of it is read before any of it is written.
template <class Word>
__global__ void convert_kernel(const pairing_conversion conversion, Word* layer, std::int64_t rows) {
  __shared__ Word copy[2 * max_pairs];
  const std::int32_t elements = 2 * conversion.pairs;
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const std::int64_t token = row % conversion.seq;
    const std::int64_t head = row / conversion.seq % conversion.kv_heads;
    const std::int64_t batch = row / conversion.seq / conversion.kv_heads;
    Word* const start =
        layer + batch * conversion.strides.batch + head * conversion.strides.head + token * conversion.strides.token;
    for (std::int32_t i = threadIdx.x; i < elements; i += blockDim.x) {
      copy[i] = start[i];
    }
    __syncthreads();
    for (std::int32_t i = threadIdx.x; i < elements; i += blockDim.x) {
      start[i] = copy[conversion.origin(i)];
    }
    __syncthreads();
  }
}

template <class Word>
void convert_layers(const pairing_conversion& conversion, void* const* layers, std::int64_t count) {
  constexpr std::int64_t most_blocks = 1 << 20;
  const std::int64_t rows = conversion.batch * conversion.kv_heads * conversion.seq;
  const int threads = std::clamp((2 * conversion.pairs + 31) / 32 * 32, 32, 256);
  for (std::int64_t i = 0; i < count; ++i) {
    convert_kernel<<<static_cast<unsigned>(std::min(rows, most_blocks)), threads, 0,
                     c10::cuda::getCurrentCUDAStream()>>>(conversion, static_cast<Word*>(layers[i]), rows);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  }
}

}  // namespace

void convert_pairing_on_cuda(const pairing_conversion& conversion, void* const* layers, std::int64_t count) {
  kvtransfer::kernels::with_word(conversion.element_size,
                                 [&](auto word) { convert_layers<decltype(word)>(conversion, layers, count); });
}

}  // namespace kvtransfer::rope::kernels
