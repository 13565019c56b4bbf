#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include <ATen/cuda/detail/IntegerDivider.cuh>
#include <algorithm>
#include <cstdint>

#include "kernels/cuda_layers.cuh"
#include "kernels/tensor/layer_list_cuda.cuh"
#include "kernels/tensor/slot_copy.hpp"

namespace kvtransfer::kernels {
namespace {

constexpr unsigned threads = 256;
/// Copies that a thread has under way at once: one would leave memory idle while it waits.
constexpr unsigned loads_ahead = 8;

/// A run is copied in pieces, a head of a slot each, in the order of slots.
using pieces_in_slot = at::cuda::detail::IntDivider<unsigned>;

/// Block (x, y) copies run x of layer y. `Word` is the widest type that all addresses are multiples of; `blockDim.x`
/// threads share a piece.
template <class Word>
__global__ void __launch_bounds__(threads) copy_run(const __grid_constant__ slot_copy copy, const pieces_in_slot heads,
                                                    const __grid_constant__ layer_list list) {
  const layer_bytes layer = list.layers[blockIdx.y];
  const byte_run run = copy.run_at(blockIdx.x);
  const auto pieces = static_cast<unsigned>(run.count * copy.kv_heads);
  const auto offset = [&](unsigned piece, const slot_strides& strides) {
    const auto place = heads.divmod(piece);
    return place.div * strides.slot + place.mod * strides.head;
  };
  for (std::int64_t byte = threadIdx.x * sizeof(Word); byte < copy.head_bytes(); byte += blockDim.x * sizeof(Word)) {
    const char* const from = layer.from + run.from + byte;
    char* const to = layer.to + run.to + byte;
    for (unsigned first = threadIdx.y; first < pieces; first += blockDim.y * loads_ahead) {
      Word held[loads_ahead];
#pragma unroll
      for (unsigned ahead = 0; ahead < loads_ahead; ++ahead) {
        const unsigned piece = first + ahead * blockDim.y;
        if (piece < pieces) {
          held[ahead] = run.from < 0 ? Word{} : *reinterpret_cast<const Word*>(from + offset(piece, copy.from));
        }
      }
#pragma unroll
      for (unsigned ahead = 0; ahead < loads_ahead; ++ahead) {
        const unsigned piece = first + ahead * blockDim.y;
        if (piece < pieces) {
          *reinterpret_cast<Word*>(to + offset(piece, copy.to)) = held[ahead];
        }
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
    const auto words = static_cast<unsigned>(std::min<std::int64_t>(copy.head_bytes() / sizeof(Word), threads));
    const dim3 block(words, threads / words);
    const dim3 blocks(blocks_of_layer(copy.runs), listed);
    copy_run<Word><<<blocks, block, 0, c10::cuda::getCurrentCUDAStream()>>>(
        copy, pieces_in_slot(static_cast<unsigned>(copy.kv_heads)), list);
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
