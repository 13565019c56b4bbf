#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>

#include <cstdint>

#include "kvtransfer/tensor/kernels/layer_list_cuda.cuh"
#include "kvtransfer/tensor/kernels/slot_copy.hpp"

namespace kvtransfer::kernels {
namespace {

constexpr unsigned threads = 256;
/// Bytes of a tile's side, a memory transaction; the word or two beyond it send the elements of a column to different banks.
constexpr unsigned side_bytes = 128;

/// A square of slots and elements on its way through shared memory, so that both sides are accessed along contiguous memory.
template <class Element>
struct tile {
  static constexpr unsigned side = side_bytes / sizeof(Element);
  static constexpr unsigned pitch = side + (sizeof(Element) < 4 ? 4 / sizeof(Element) : 1);
  static constexpr unsigned places_per_thread = side * side / threads;

  Element elements[side * pitch];
};

/// The part of a tile that exists, and the one place in it that a thread deals with at a time.
struct tile_extent {
  unsigned slots;
  unsigned elements;
};

struct tile_place {
  unsigned slot;
  unsigned element;

  /// Neighbouring indices are neighbours in memory that strides so.
  template <unsigned side>
  __device__ static tile_place at(unsigned index, const slot_strides& strides) {
    return strides.slot < strides.element ? tile_place{index % side, index / side} : tile_place{index / side, index % side};
  }
  __device__ bool is_in(const tile_extent& extent) const { return slot < extent.slots && element < extent.elements; }
  __device__ std::int64_t offset(const slot_strides& strides) const {
    return slot * strides.slot + element * strides.element;
  }
};

template <class Element>
__device__ void copy_tile(const slot_copy& copy, char* to, const char* from, const tile_extent& extent, tile<Element>& shared) {
  using shape = tile<Element>;
#pragma unroll
  for (unsigned i = 0; i < shape::places_per_thread; ++i) {
    const auto place = tile_place::at<shape::side>(threadIdx.x + i * threads, copy.from);
    if (place.is_in(extent)) {
      shared.elements[place.slot * shape::pitch + place.element] =
          from == nullptr ? Element{} : *reinterpret_cast<const Element*>(from + place.offset(copy.from));
    }
  }
  __syncthreads();
#pragma unroll
  for (unsigned i = 0; i < shape::places_per_thread; ++i) {
    const auto place = tile_place::at<shape::side>(threadIdx.x + i * threads, copy.to);
    if (place.is_in(extent)) {
      *reinterpret_cast<Element*>(to + place.offset(copy.to)) = shared.elements[place.slot * shape::pitch + place.element];
    }
  }
  __syncthreads();
}

/// Block (x, y, z) copies head z of run x of layer y.
template <class Element>
__global__ void __launch_bounds__(threads) copy_head(const __grid_constant__ slot_copy copy, const __grid_constant__ layer_list list) {
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
