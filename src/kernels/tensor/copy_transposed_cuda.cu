#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include <ATen/cuda/detail/IntegerDivider.cuh>
#include <cstdint>
#include <type_traits>

#include "kernels/tensor/layer_list_cuda.cuh"
#include "kernels/tensor/slot_copy.hpp"
#include "kernels/tensor/slot_places_cuda.cuh"
#include "kernels/tensor/transpose_plane_cuda.cuh"
#include "kernels/tensor/transposition.hpp"
#include "kernels/words.hpp"

namespace kvtransfer::kernels {
namespace {

/// So many at a time hide the memory's latency while some wait for their tiles.
constexpr unsigned blocks_per_multiprocessor = 4;

/// What a thread reads or writes at once where alignment allows: with wider words for single bytes a tile would not fit
/// into shared memory.
template <class Element>
using word_of = std::conditional_t<sizeof(Element) == 1, uint2, uint4>;

/// Copies without transposing, `Word` by `Word`: slots that are neighbours on both sides, or single elements of any
/// strides. Several reads are under way before the first is waited for.
template <class Element, class Word>
__device__ void copy_words(const slot_copy& copy, const slot_places& places, unsigned slots) {
  constexpr unsigned at_once = 4;
  constexpr unsigned in_word = elements_of<Element, Word>;
  const auto elements = static_cast<unsigned>(copy.elements);
  const bool along_slots = copy.to.slot < copy.to.element;
  const unsigned in_line = along_slots ? slots / in_word : elements;
  const unsigned words = slots / in_word * elements;
  const auto slot_of = [&](unsigned index) { return (along_slots ? index % in_line : index / in_line) * in_word; };
  const auto element_of = [&](unsigned index) { return along_slots ? index / in_line : index % in_line; };
  for (unsigned first = threadIdx.x; first < words; first += at_once * transposing_threads) {
    Word held[at_once] = {};
#pragma unroll
    for (unsigned i = 0; i < at_once; ++i) {
      const unsigned index = first + i * transposing_threads;
      const char* const from = index < words ? places.from[slot_of(index)] : nullptr;
      if (from != nullptr) {
        held[i] = *reinterpret_cast<const Word*>(from + element_of(index) * copy.from.element);
      }
    }
#pragma unroll
    for (unsigned i = 0; i < at_once; ++i) {
      const unsigned index = first + i * transposing_threads;
      if (index < words) {
        *reinterpret_cast<Word*>(places.to[slot_of(index)] + element_of(index) * copy.to.element) = held[i];
      }
    }
  }
}

/// Shared memory for the one or the other.
template <class First, class Second>
union one_of {
  First first;
  Second second;
};

template <class Element, transposition way>
__device__ void copy_places(const slot_copy& copy, const slot_places& places, unsigned slots) {
  using word = word_of<Element>;
  const bool words = has_words<Element, word, way>(copy, places, slots);
  if constexpr (way == transposition::neither) {
    words ? copy_words<Element, word>(copy, places, slots) : copy_words<Element, Element>(copy, places, slots);
  } else {
    __shared__ one_of<tile<Element, word>, tile<Element, Element>> shared;
    const plane<Element, way> p{copy, places, slots};
    words ? transpose_plane<Element, word>(p, shared.first) : transpose_plane<Element, Element>(p, shared.second);
  }
}

/// Heads come first in a grid, so that those of a slot, neighbours in many layouts, are copied at about the same time.
using heads_of_run = at::cuda::detail::IntDivider<unsigned>;

/// Block (x, y) copies head x % kv_heads of run group x / kv_heads of layer y.
template <class Element, transposition way>
__global__ void __launch_bounds__(transposing_threads, blocks_per_multiprocessor)
    copy_head(const __grid_constant__ slot_copy copy, const heads_of_run heads,
              const __grid_constant__ layer_list list) {
  __shared__ run_group runs;
  __shared__ slot_places places;
  const auto place = heads.divmod(blockIdx.x);
  const layer_bytes& layer = list.layers[blockIdx.y];
  const layer_bytes head{layer.to + place.mod * copy.to.head, layer.from + place.mod * copy.from.head};
  runs.read(copy, place.div);
  const std::int64_t slots = runs.slots();
  for (std::int64_t first = 0; first < slots; first += slot_places::most) {
    const auto count = static_cast<unsigned>(min(slots - first, static_cast<std::int64_t>(slot_places::most)));
    if (threadIdx.x < count) {
      places.set(head, runs.slot_at(copy, first + threadIdx.x));
    }
    __syncthreads();
    copy_places<Element, way>(copy, places, count);
    __syncthreads();
  }
}

template <class Element, transposition way>
void launch_transposed(const slot_copy& copy, const layer_bytes* layers, std::int64_t count) {
  const unsigned in_group = run_group::count_for(copy);
  const std::int64_t groups = (copy.runs + in_group - 1) / in_group;
  for_each_layer_list(layers, count, [&](const layer_list& list, unsigned listed) {
    const dim3 blocks(blocks_of_layer(groups * copy.kv_heads), listed);
    copy_head<Element, way><<<blocks, transposing_threads, 0, c10::cuda::getCurrentCUDAStream()>>>(
        copy, heads_of_run(static_cast<unsigned>(copy.kv_heads)), list);
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  });
}

template <class Element>
void launch_for(const slot_copy& copy, const layer_bytes* layers, std::int64_t count) {
  switch (transposition_of(copy)) {
    case transposition::slots_to_columns:
      return launch_transposed<Element, transposition::slots_to_columns>(copy, layers, count);
    case transposition::columns_to_slots:
      return launch_transposed<Element, transposition::columns_to_slots>(copy, layers, count);
    case transposition::neither:
      return launch_transposed<Element, transposition::neither>(copy, layers, count);
  }
}

}  // namespace

void copy_transposed_on_cuda(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers) {
  with_word(copy.element_bytes, [&](auto element) { launch_for<decltype(element)>(copy, layers, count_of_layers); });
}

}  // namespace kvtransfer::kernels
