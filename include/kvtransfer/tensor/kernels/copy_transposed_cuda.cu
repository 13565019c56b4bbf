#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>

#include <cstdint>
#include <cstring>

#include "kvtransfer/tensor/kernels/layer_list_cuda.cuh"
#include "kvtransfer/tensor/kernels/slot_copy.hpp"

namespace kvtransfer::kernels {
namespace {

constexpr unsigned threads = 256;
/// So many at a time hide the memory's latency while some wait for their tiles.
constexpr unsigned blocks_per_multiprocessor = 5;
/// Bytes of a tile's side, a memory transaction (of single bytes half of it); the four beyond it send the elements of a column to different banks.
constexpr unsigned side_bytes = 128;
constexpr unsigned gap_bytes = sizeof(std::uint32_t);
/// What a thread reads or writes at once where alignment allows.
using word = uint2;

/// A square of slots and elements on its way through shared memory, so that both sides are accessed along contiguous memory.
template <class Element>
struct tile {
  static constexpr unsigned side = side_bytes / (sizeof(Element) < 2 ? 2 : sizeof(Element));
  static constexpr unsigned pitch = side + (gap_bytes + sizeof(Element) - 1) / sizeof(Element);

  Element elements[side * pitch];

  __device__ Element& at(unsigned slot, unsigned element) { return elements[slot * pitch + element]; }
};

/// Groups of `Count` neighbours that each thread moves.
template <class Element, unsigned Count>
inline constexpr unsigned groups_per_thread =
    (tile<Element>::side * tile<Element>::side / Count + threads - 1) / threads;

/// The part of a tile that exists.
struct tile_extent {
  unsigned slots;
  unsigned elements;
};

/// Whether slots are what lies side by side in memory that strides so.
__device__ inline bool slots_are_neighbours(const slot_strides& strides) { return strides.slot < strides.element; }

/// Whether all neighbours that a tile holds can be accessed `word` by `word`.
template <class Element>
__device__ bool moves_by_words(const char* memory, const slot_strides& strides, const tile_extent& extent) {
  const bool slots = slots_are_neighbours(strides);
  const std::int64_t neighbour = slots ? strides.slot : strides.element;
  const std::int64_t other = slots ? strides.element : strides.slot;
  const std::int64_t bytes = (slots ? extent.slots : extent.elements) * sizeof(Element);
  return neighbour == sizeof(Element) && ((reinterpret_cast<std::uintptr_t>(memory) | other | bytes) % sizeof(word)) == 0;
}

/// Calls `move(i, slot, element)` for the first of every `Count` neighbours in a tile, shared out among threads; i counts a
/// thread's own.
template <class Element, unsigned Count, class Move>
__device__ void for_each_group(const slot_strides& strides, const tile_extent& extent, Move&& move) {
  constexpr unsigned groups = tile<Element>::side / Count;
#pragma unroll
  for (unsigned i = 0; i < groups_per_thread<Element, Count>; ++i) {
    const unsigned index = threadIdx.x + i * threads;
    const unsigned along = index % groups * Count;
    const unsigned across = index / groups;
    const unsigned slot = slots_are_neighbours(strides) ? along : across;
    const unsigned element = slots_are_neighbours(strides) ? across : along;
    if (slot < extent.slots && element < extent.elements) {
      move(i, slot, element);
    }
  }
}

/// `Count` neighbours as one `Word`.
template <class Element, class Word>
struct neighbours {
  static constexpr unsigned count = sizeof(Word) / sizeof(Element);
  Element elements[count];

  __device__ static neighbours load(const char* from) {
    const Word held = *reinterpret_cast<const Word*>(from);
    neighbours result;
    std::memcpy(&result, &held, sizeof(Word));
    return result;
  }
  __device__ void store(char* to) const {
    Word held;
    std::memcpy(&held, this, sizeof(Word));
    *reinterpret_cast<Word*>(to) = held;
  }
};

/// All reads are under way before the first is waited for.
template <class Element, class Word>
__device__ void read_tile(const char* from, const slot_strides& strides, const tile_extent& extent, tile<Element>& shared) {
  using group = neighbours<Element, Word>;
  const bool slots = slots_are_neighbours(strides);
  group held[groups_per_thread<Element, group::count>];
  for_each_group<Element, group::count>(strides, extent, [&](unsigned i, unsigned slot, unsigned element) {
    held[i] = group::load(from + slot * strides.slot + element * strides.element);
  });
  for_each_group<Element, group::count>(strides, extent, [&](unsigned i, unsigned slot, unsigned element) {
#pragma unroll
    for (unsigned k = 0; k < group::count; ++k) {
      shared.at(slot + (slots ? k : 0), element + (slots ? 0 : k)) = held[i].elements[k];
    }
  });
}

template <class Element, class Word>
__device__ void write_tile(char* to, const slot_strides& strides, const tile_extent& extent, tile<Element>& shared) {
  using group = neighbours<Element, Word>;
  const bool slots = slots_are_neighbours(strides);
  for_each_group<Element, group::count>(strides, extent, [&](unsigned, unsigned slot, unsigned element) {
    group held;
#pragma unroll
    for (unsigned k = 0; k < group::count; ++k) {
      held.elements[k] = shared.at(slot + (slots ? k : 0), element + (slots ? 0 : k));
    }
    held.store(to + slot * strides.slot + element * strides.element);
  });
}

/// @param from null where zeros are written
template <class Element>
__device__ void copy_tile(const slot_copy& copy, char* to, const char* from, const tile_extent& extent, tile<Element>& shared) {
  if (from == nullptr) {
    for (unsigned i = threadIdx.x; i < tile<Element>::side * tile<Element>::pitch; i += threads) {
      shared.elements[i] = Element{};
    }
  } else if (moves_by_words<Element>(from, copy.from, extent)) {
    read_tile<Element, word>(from, copy.from, extent, shared);
  } else {
    read_tile<Element, Element>(from, copy.from, extent, shared);
  }
  __syncthreads();
  if (moves_by_words<Element>(to, copy.to, extent)) {
    write_tile<Element, word>(to, copy.to, extent, shared);
  } else {
    write_tile<Element, Element>(to, copy.to, extent, shared);
  }
  __syncthreads();
}

/// Block (x, y, z) copies head z of run x of layer y.
template <class Element>
__global__ void __launch_bounds__(threads, blocks_per_multiprocessor) copy_head(const __grid_constant__ slot_copy copy, const __grid_constant__ layer_list list) {
  constexpr unsigned side = tile<Element>::side;
  __shared__ tile<Element> shared;
  const layer_bytes layer = list.layers[blockIdx.y];
  const byte_run run = copy.run_at(blockIdx.x);
  char* const to = layer.to + run.to + blockIdx.z * copy.to.head;
  const char* const from = run.from < 0 ? nullptr : layer.from + run.from + blockIdx.z * copy.from.head;
  for (std::int64_t slot = 0; slot < run.count; slot += side) {
    for (std::int64_t element = 0; element < copy.elements; element += side) {
      const tile_extent extent{static_cast<unsigned>(min(run.count - slot, std::int64_t{side})),
                               static_cast<unsigned>(min(copy.elements - element, std::int64_t{side}))};
      copy_tile<Element>(copy, to + slot * copy.to.slot + element * copy.to.element,
                         from == nullptr ? nullptr : from + slot * copy.from.slot + element * copy.from.element, extent, shared);
    }
  }
}

template <class Element>
void launch(const slot_copy& copy, const layer_bytes* layers, std::int64_t count) {
  for_each_layer_list(layers, count, [&](const layer_list& list, unsigned listed) {
    const dim3 blocks(static_cast<unsigned>(copy.runs), listed, static_cast<unsigned>(copy.kv_heads));
    copy_head<Element><<<blocks, threads, 0, at::cuda::getCurrentCUDAStream()>>>(copy, list);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
}

}  // namespace

void copy_transposed_on_cuda(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers) {
  switch (copy.element_bytes) {
    case 1:
      return launch<std::uint8_t>(copy, layers, count_of_layers);
    case 2:
      return launch<std::uint16_t>(copy, layers, count_of_layers);
    case 4:
      return launch<std::uint32_t>(copy, layers, count_of_layers);
    default:
      return launch<std::uint64_t>(copy, layers, count_of_layers);
  }
}

}  // namespace kvtransfer::kernels
