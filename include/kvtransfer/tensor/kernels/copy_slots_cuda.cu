#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <cstdint>

#include "kvtransfer/tensor/kernels/copy_slots.hpp"
#include "kvtransfer/tensor/kernels/layer_list_cuda.cuh"

namespace kvtransfer::kernels {
namespace {

constexpr int threads = 256;
/// Copies that a thread has under way at once: one would leave memory idle while it waits.
constexpr int loads_ahead = 4;
/// Block (x, y) copies run x of layer y, all heads. `Word` is the widest type that all addresses are multiples of.
template <class Word>
__global__ void __launch_bounds__(threads) copy_run(const __grid_constant__ slot_copy copy, const __grid_constant__ layer_list list) {
  const layer_bytes layer = list.layers[blockIdx.y];
  const byte_run run = copy.run_at(blockIdx.x);
  const auto words_a_head = static_cast<unsigned>(copy.head_bytes() / sizeof(Word));
  const unsigned words_a_slot = words_a_head * static_cast<unsigned>(copy.kv_heads);
  const unsigned words = words_a_slot * static_cast<unsigned>(run.count);
  for (unsigned start = threadIdx.x; start < words; start += threads * loads_ahead) {
    Word held[loads_ahead];
    char* places[loads_ahead];
#pragma unroll
    for (int ahead = 0; ahead < loads_ahead; ++ahead) {
      const unsigned word = start + ahead * threads;
      if (word < words) {
        const std::int64_t slot = word / words_a_slot;
        const std::int64_t head = word % words_a_slot / words_a_head;
        const std::int64_t inside = word % words_a_head * sizeof(Word);
        const char* from = layer.from + run.from + slot * copy.from.slot + head * copy.from.head + inside;
        places[ahead] = layer.to + run.to + slot * copy.to.slot + head * copy.to.head + inside;
        held[ahead] = run.from < 0 ? Word{} : *reinterpret_cast<const Word*>(from);
      }
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
  bits |= static_cast<std::uint64_t>(copy.head_bytes());
  for (std::int64_t i = 0; i < count; ++i) {
    bits |= reinterpret_cast<std::uintptr_t>(layers[i].to) | reinterpret_cast<std::uintptr_t>(layers[i].from);
  }
  return static_cast<std::int64_t>(bits & -bits);
}

template <class Word>
void launch(const slot_copy& copy, const layer_bytes* layers, std::int64_t count) {
  for_each_layer_list(layers, count, [&](const layer_list& list, unsigned listed) {
    const dim3 blocks(static_cast<unsigned>(copy.runs), listed);
    copy_run<Word><<<blocks, threads, 0, at::cuda::getCurrentCUDAStream()>>>(copy, list);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
}

}  // namespace

void copy_slots_on_cuda(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers) {
  if (copy.is_transposed()) {
    return copy_transposed_on_cuda(copy, layers, count_of_layers);
  }
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

void copy_slots_on_the_layers_device(at::TensorList to, at::TensorList from, const optional_tensor& runs) {
  const c10::cuda::OptionalCUDAGuard guard(to.empty() ? std::nullopt : std::optional(to.front().device()));
  copy_slots_<copy_slots_on_cuda>(to, from, runs);
}

}  // namespace

TORCH_LIBRARY_IMPL(kvtransfer, CUDA, library) { library.impl("copy_slots_", TORCH_FN(copy_slots_on_the_layers_device)); }
