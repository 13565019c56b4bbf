#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <algorithm>
#include <cstdint>

#include "kvtransfer/tensor/kernels/copy_slots.hpp"

namespace kvtransfer::kernels {
namespace {

constexpr int threads = 256;
constexpr int pairs_per_block = 16;
/// Copies that a thread has under way at once: one would leave memory idle while it waits.
constexpr int loads_ahead = 4;
/// Layers that one launch takes: their addresses are its parameters.
constexpr int layers_per_launch = 128;

struct layer_list {
  layer_bytes layers[layers_per_launch];
};

/// Block (x, y) copies a few pairs of layer y, all heads. `Word` is the widest type that all addresses are multiples of.
template <class Word>
__global__ void __launch_bounds__(threads) copy_pairs(const __grid_constant__ slot_copy copy, const __grid_constant__ layer_list list) {
  __shared__ std::int64_t to_offsets[pairs_per_block];
  __shared__ std::int64_t from_offsets[pairs_per_block];
  const layer_bytes layer = list.layers[blockIdx.y];
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * pairs_per_block;
  const int pairs = static_cast<int>(min(static_cast<std::int64_t>(pairs_per_block), copy.pairs - first));
  if (threadIdx.x < pairs) {
    to_offsets[threadIdx.x] = copy.to_offset(first + threadIdx.x);
    from_offsets[threadIdx.x] = copy.from_offset(first + threadIdx.x);
  }
  __syncthreads();
  const auto words_a_head = static_cast<unsigned>(copy.head_bytes / sizeof(Word));
  const unsigned words_a_pair = words_a_head * static_cast<unsigned>(copy.kv_heads);
  const unsigned words = words_a_pair * pairs;
  for (unsigned start = threadIdx.x; start < words; start += threads * loads_ahead) {
    Word held[loads_ahead];
    char* places[loads_ahead];
#pragma unroll
    for (int ahead = 0; ahead < loads_ahead; ++ahead) {
      const unsigned word = start + ahead * threads;
      if (word >= words) {
        break;
      }
      const unsigned pair = word / words_a_pair;
      const unsigned head = word % words_a_pair / words_a_head;
      const std::int64_t inside = static_cast<std::int64_t>(word % words_a_head) * static_cast<std::int64_t>(sizeof(Word));
      const std::int64_t from = from_offsets[pair];
      places[ahead] = layer.to + to_offsets[pair] + head * copy.to.head + inside;
      held[ahead] = from < 0 ? Word{} : *reinterpret_cast<const Word*>(layer.from + from + head * copy.from.head + inside);
    }
#pragma unroll
    for (int ahead = 0; ahead < loads_ahead; ++ahead) {
      if (start + ahead * threads < words) {
        *reinterpret_cast<Word*>(places[ahead]) = held[ahead];
      }
    }
  }
}

/// The largest power of two up to 16 that divides every address and step.
std::int64_t common_alignment(const slot_copy& copy, const layer_bytes* layers, std::int64_t count) {
  std::uint64_t bits = 16;
  for (const slot_strides& side : {copy.to, copy.from}) {
    bits |= static_cast<std::uint64_t>(side.row | side.head | side.slot);
  }
  bits |= static_cast<std::uint64_t>(copy.head_bytes);
  for (std::int64_t i = 0; i < count; ++i) {
    bits |= reinterpret_cast<std::uintptr_t>(layers[i].to) | reinterpret_cast<std::uintptr_t>(layers[i].from);
  }
  return static_cast<std::int64_t>(bits & -bits);
}

template <class Word>
void launch(const slot_copy& copy, const layer_bytes* layers, std::int64_t count) {
  const auto blocks = static_cast<unsigned>((copy.pairs + pairs_per_block - 1) / pairs_per_block);
  for (std::int64_t first = 0; first < count; first += layers_per_launch) {
    layer_list list;
    const std::int64_t now = std::min<std::int64_t>(layers_per_launch, count - first);
    std::copy_n(layers + first, now, list.layers);
    copy_pairs<Word><<<dim3(blocks, static_cast<unsigned>(now)), threads, 0, at::cuda::getCurrentCUDAStream()>>>(copy, list);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  }
}

}  // namespace

void copy_slots_on_cuda(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers) {
  switch (common_alignment(copy, layers, count_of_layers)) {
    case 16:
      return launch<uint4>(copy, layers, count_of_layers);
    case 8:
      return launch<uint2>(copy, layers, count_of_layers);
    case 4:
      return launch<std::uint32_t>(copy, layers, count_of_layers);
    case 2:
      return launch<std::uint16_t>(copy, layers, count_of_layers);
    default:
      return launch<std::uint8_t>(copy, layers, count_of_layers);
  }
}

}  // namespace kvtransfer::kernels

namespace {

using namespace kvtransfer::kernels;

void copy_slots_on_the_layers_device(at::TensorList to, at::TensorList from, const optional_tensor& to_places,
                                     const optional_tensor& from_places) {
  const c10::cuda::OptionalCUDAGuard guard(to.empty() ? std::nullopt : std::optional(to.front().device()));
  copy_slots_<copy_slots_on_cuda>(to, from, to_places, from_places);
}

}  // namespace

TORCH_LIBRARY_IMPL(kvtransfer, CUDA, library) { library.impl("copy_slots_", TORCH_FN(copy_slots_on_the_layers_device)); }
