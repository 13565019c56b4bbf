#pragma once

#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/rope/rotation_cuda.cuh"
#include "kernels/rope/rotation_cuda_elements.hpp"

// From the plain struct to one of the kernels, for one element type. A file for each instantiates `launch_rotation`:
// that is most of what the compiler does here.

namespace kvtransfer::rope::kernels {

/// The parameters for some layers, of which there may be no more than `Launch` holds.
template <class Launch>
Launch parameters_for(const rotation_arguments& rotation, const layer_keys* layers, std::int64_t count) {
  Launch launch{};
  launch.rotation = rotation;
  launch.seq = static_cast<unsigned>(rotation.seq);
  launch.kv_heads = static_cast<unsigned>(rotation.kv_heads);
  launch.rows = static_cast<unsigned>(rotation.batch * rotation.kv_heads * rotation.seq);
  std::copy_n(rotation.stream_of, rotation.pairs, launch.stream_of);
  std::copy_n(rotation.target_frequency.turns, rotation.pairs, launch.target_turns);
  std::copy_n(rotation.target_frequency.value, rotation.pairs, launch.target_value);
  std::copy_n(rotation.stored_frequency.turns, rotation.pairs, launch.stored_turns);
  std::copy_n(rotation.stored_frequency.value, rotation.pairs, launch.stored_value);
  std::copy_n(layers, count, launch.layers);
  return launch;
}

/// The grid and block by which `Rows` rows a thread rotates all keys, in words of `Word`.
template <class Element, class Word, int Rows>
struct launch_shape {
  dim3 block;
  dim3 grid;

  launch_shape(const rotation_arguments& rotation, std::int64_t layers) {
    const unsigned threads_per_row = static_cast<unsigned>(rotation.pairs / elements_in<Word, Element>);
    block = dim3(threads_per_row, threads_per_block<Element, Word> / threads_per_row);
    const std::int64_t rows = rotation.batch * rotation.kv_heads * rotation.seq;
    const std::int64_t rows_per_block = static_cast<std::int64_t>(block.y) * Rows;
    grid = dim3(static_cast<unsigned>((rows + rows_per_block - 1) / rows_per_block), static_cast<unsigned>(layers));
  }

  /// Whether multiprocessors would be left idle: then it is a thread's own work that a rotation waits for, not memory.
  bool leaves_room() const {
    int multiprocessors = 0;
    C10_CUDA_CHECK(
        cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, c10::cuda::current_device()));
    return grid.x * grid.y <= 2u * static_cast<unsigned>(multiprocessors);
  }
};

template <class Element, class Word, bool Interleaved, angle_rule Rule, int Rows, class Launch>
void launch_kernel(const rotation_arguments& rotation, const layer_keys* layers, std::int64_t count) {
  const launch_shape<Element, Word, Rows> shape(rotation, count);
  rotate_kernel<Element, Word, Interleaved, Rule, Rows>
      <<<shape.grid, shape.block, 0, c10::cuda::getCurrentCUDAStream()>>>(
          parameters_for<Launch>(rotation, layers, count));
  C10_CUDA_KERNEL_LAUNCH_CHECK();
}

template <class Element, class Word, bool Interleaved, angle_rule Rule, class Launch>
void launch_by_size(const rotation_arguments& rotation, const layer_keys* layers, std::int64_t count) {
  constexpr int rows = rows_per_thread<Element>;
  if constexpr (std::is_same_v<Launch, short_rotation> && Rule != angle_rule::shared && sizeof(Element) > 1) {
    if (launch_shape<Element, Word, rows>(rotation, count).leaves_room()) {
      return launch_kernel<Element, uint2, Interleaved, Rule, 1, Launch>(rotation, layers, count);
    }
  }
  launch_kernel<Element, Word, Interleaved, Rule, rows, Launch>(rotation, layers, count);
}

template <class Element, class Word, bool Interleaved, class Launch>
void launch_by_rule(const rotation_arguments& rotation, const layer_keys* layers, std::int64_t count) {
  switch (rotation.rule) {
    case angle_rule::shared:
      return launch_by_size<Element, Word, Interleaved, angle_rule::shared, Launch>(rotation, layers, count);
    case angle_rule::difference:
      return launch_by_size<Element, Word, Interleaved, angle_rule::difference, Launch>(rotation, layers, count);
    case angle_rule::two_frequencies:
      return launch_by_size<Element, Word, Interleaved, angle_rule::two_frequencies, Launch>(rotation, layers, count);
    case angle_rule::model_faithful:
      return launch_by_size<Element, Word, Interleaved, angle_rule::model_faithful, Launch>(rotation, layers, count);
  }
}

template <class Element, class Word, class Launch>
void launch_by_pairing(const rotation_arguments& rotation, const layer_keys* layers, std::int64_t count) {
  rotation.interleaved ? launch_by_rule<Element, Word, true, Launch>(rotation, layers, count)
                       : launch_by_rule<Element, Word, false, Launch>(rotation, layers, count);
}

/// The integer that is as long as one element.
template <class Element>
using single_word = std::conditional_t<sizeof(Element) == 1, std::uint8_t,
                                       std::conditional_t<sizeof(Element) == 2, std::uint16_t, std::uint32_t>>;

template <class Element>
void launch_rotation(const rotation_arguments& rotation, const layer_keys* layers, std::int64_t count,
                     std::int64_t word_bytes) {
  const bool fits_short = rotation.pairs <= short_rotation::most_pairs && count <= short_rotation::most_layers;
  if (word_bytes == 16 && fits_short) {
    launch_by_pairing<Element, uint4, short_rotation>(rotation, layers, count);
  } else if (word_bytes == 16) {
    launch_by_pairing<Element, uint4, long_rotation>(rotation, layers, count);
  } else if (word_bytes == 8) {
    launch_by_pairing<Element, uint2, long_rotation>(rotation, layers, count);
  } else {
    launch_by_pairing<Element, single_word<Element>, long_rotation>(rotation, layers, count);
  }
}

}  // namespace kvtransfer::rope::kernels
