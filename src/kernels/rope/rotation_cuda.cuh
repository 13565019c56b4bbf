#pragma once

#include <ATen/cuda/detail/IntegerDivider.cuh>
#include <algorithm>
#include <cstdint>

#include "kernels/rope/angles_cuda.cuh"
#include "kernels/rope/lanes_cuda.cuh"
#include "kernels/rope/rotation_arguments.hpp"
#include "kernels/rope/words_cuda.cuh"

// The CUDA kernel. Keys are a list of rows, one per token, head, batch row and layer; `blockDim.x` threads share a row,
// and each of them owns one word in either half of its rotary window, so both dimensions of all its pairs: no element
// has two readers. Angles are worked out where they are used; nothing but keys and positions is read from memory.

namespace kvtransfer::rope::kernels {

/// The fastest of 128 to 1024 for every rule. A row of single elements may need more.
template <class Element, class Word>
inline constexpr int threads_per_block =
    std::max(sizeof(Element) == 1 ? 256 : 128, max_pairs / elements_in<Word, Element>);

/// Everything a launch needs, passed by value, so that a captured graph owns it and nothing is copied or awaited.
///
/// Parameters take time to reach the device, which counts where keys are few: there is a short form beside one that
/// holds whatever is asked for.
template <int Pairs, int Layers>
struct cuda_rotation {
  static constexpr int most_pairs = Pairs;
  static constexpr int most_layers = Layers;

  rotation_geometry rotation;
  at::cuda::detail::IntDivider<unsigned> seq;
  at::cuda::detail::IntDivider<unsigned> kv_heads;
  unsigned rows;  ///< in a layer: batch * kv_heads * seq
  std::uint8_t stream_of[Pairs];
  alignas(16) std::uint32_t target_turns[Pairs];
  alignas(16) float target_value[Pairs];
  alignas(16) std::uint32_t stored_turns[Pairs];
  alignas(16) float stored_value[Pairs];
  layer_keys layers[Layers];
};

using short_rotation = cuda_rotation<64, 32>;
using long_rotation = cuda_rotation<max_pairs, 128>;

/// Rows a thread rotates at once: several words under way hide the memory's latency. A row of fp8 is as much work as
/// two of 16 bits. Where there are fewer rows than threads could run, each takes one, and less of it.
template <class Element>
inline constexpr int rows_per_thread = sizeof(Element) == 1 ? 1 : 2;

struct row_place {
  unsigned batch;
  unsigned head;
  unsigned token;
  std::int64_t stored;  ///< where the keys' batch axis holds it

  __device__ std::int64_t offset(const key_strides& strides) const {
    return stored * strides.batch + head * strides.head + token * strides.token;
  }
};

template <class Launch>
__device__ inline row_place place_of(const Launch& rotation, unsigned row) {
  const auto above = rotation.seq.divmod(row);
  const auto heads = rotation.kv_heads.divmod(above.div);
  return {heads.div, heads.mod, above.mod, rotation.rotation.row(heads.div)};
}

/// The tables of angle_rule in shared memory. Threads of a warp read different pairs, which kernel parameters serve one
/// by one.
template <angle_rule Rule, int Pairs>
struct shared_frequencies {
  alignas(16) std::uint32_t target_turns[Pairs];
  alignas(16) float target_value[Pairs];
  alignas(16) std::uint32_t stored_turns[Pairs];
  alignas(16) float stored_value[Pairs];

  __device__ pair_frequency at(int pair) const {
    return {target_turns[pair], stored_turns[pair], target_value[pair], stored_value[pair]};
  }

  template <class Launch>
  __device__ void fill(const Launch& launch) {
    // Parameters are read one address at a time whatever the warp: the wider, the fewer times.
    const auto copy_four = [](auto* to, const auto* from, int pair) {
      *reinterpret_cast<uint4*>(to + pair) = *reinterpret_cast<const uint4*>(from + pair);
    };
    const int thread = threadIdx.y * blockDim.x + threadIdx.x;
    for (int pair = 4 * thread; pair < launch.rotation.pairs; pair += 4 * blockDim.x * blockDim.y) {
      copy_four(target_value, launch.target_value, pair);
      if constexpr (Rule != angle_rule::difference) {
        copy_four(stored_value, launch.stored_value, pair);
      }
      if constexpr (Rule == angle_rule::difference || Rule == angle_rule::two_frequencies) {
        copy_four(target_turns, launch.target_turns, pair);
      }
      if constexpr (Rule == angle_rule::two_frequencies) {
        copy_four(stored_turns, launch.stored_turns, pair);
      }
    }
  }
};

__device__ inline token_positions positions_at(const rotation_geometry& rotation, const row_place& place, int stream) {
  return positions_at(rotation, stream, place.batch, place.head, place.token);
}

template <class Element, angle_rule Rule>
__device__ inline void pair_rotation(const pair_frequency& f, token_positions at, float& cosine, float& sine) {
  if constexpr (Rule == angle_rule::shared) {
    cosine = f.target_value;
    sine = f.stored_value;
  } else if constexpr (sizeof(Element) <= 2) {
    quick_cosine_and_sine(rotations_of<Rule>(f, at), cosine, sine);
  } else {
    cosine_and_sine<cuda_lanes>(angle_of<Rule>(f, at), cosine, sine);
  }
}

/// Which elements and pairs thread `lane` of a row owns: `count` elements from `first` and `count` from `second`.
template <int count, bool Interleaved>
struct thread_share {
  int first;
  int second;
  int pairs_of_first;   ///< the first pair it owns; half-split: of all
  int pairs_of_second;  ///< interleaved: the first pair it owns in the second word

  __device__ thread_share(int lane, int pairs) {
    constexpr bool single = Interleaved && count == 1;
    first = single ? 2 * lane : lane * count;
    second = single ? first + 1 : pairs + lane * count;
    pairs_of_first = Interleaved && !single ? first / 2 : lane * count;
    pairs_of_second = second / 2;
  }
};

template <class Element, class Word, bool Interleaved, angle_rule Rule, int rows, class Launch>
__global__ __launch_bounds__(threads_per_block<Element, Word>) void rotate_kernel(
    const __grid_constant__ Launch launch) {
  constexpr int count = elements_in<Word, Element>;
  __shared__ shared_frequencies<Rule, Launch::most_pairs> table;
  const rotation_geometry& rotation = launch.rotation;
  const layer_keys& layer = launch.layers[blockIdx.y];
  const thread_share<count, Interleaved> share(threadIdx.x, rotation.pairs);
  const unsigned first_row = blockIdx.x * rows * blockDim.y + threadIdx.y;

  // Keys and positions are asked for first; the table is filled while they come.
  Word words[rows][2] = {};
  row_place places[rows] = {};
  token_positions positions[rows];
#pragma unroll
  for (int r = 0; r < rows; ++r) {
    const unsigned row = first_row + r * blockDim.y;
    if (row < launch.rows) {
      places[r] = place_of(launch, row);
      const auto* source = static_cast<const Element*>(layer.source) + places[r].offset(rotation.source);
      words[r][0] = *reinterpret_cast<const Word*>(source + share.first);
      words[r][1] = *reinterpret_cast<const Word*>(source + share.second);
      if constexpr (Rule != angle_rule::shared) {
        positions[r] = positions_at(rotation, places[r], 0);
      }
    }
  }
  table.fill(launch);
  __syncthreads();

  float x[rows][count];
  float y[rows][count];
#pragma unroll
  for (int r = 0; r < rows; ++r) {
    unpack_word<Element>(words[r][0], x[r]);
    unpack_word<Element>(words[r][1], y[r]);
  }
#pragma unroll
  for (int i = 0; i < count; ++i) {
    constexpr bool within_words = Interleaved && count > 1;
    const bool in_second = within_words && i >= count / 2;
    const int pair = in_second ? share.pairs_of_second + i - count / 2 : share.pairs_of_first + i;
    const pair_frequency frequency = table.at(pair);
#pragma unroll
    for (int r = 0; r < rows; ++r) {
      float cosine;
      float sine;
      if (Rule != angle_rule::shared &&
          rotation.many_streams) {  // a loop for each case takes more registers, and longer
        positions[r] = positions_at(rotation, places[r], launch.stream_of[pair]);
      }
      pair_rotation<Element, Rule>(frequency, positions[r], cosine, sine);
      if constexpr (within_words) {
        float* const word = in_second ? y[r] : x[r];
        rotate(word[2 * i % count], word[2 * i % count + 1], cosine, sine);
      } else {
        rotate(x[r][i], y[r][i], cosine, sine);
      }
    }
  }
#pragma unroll
  for (int r = 0; r < rows; ++r) {
    if (first_row + r * blockDim.y >= launch.rows) {
      return;
    }
    if (Rule != angle_rule::shared && rotation.gain != 1) {
#pragma unroll
      for (int i = 0; i < count; ++i) {
        x[r][i] *= rotation.gain;
        y[r][i] *= rotation.gain;
      }
    }
    auto* destination = static_cast<Element*>(layer.destination) + places[r].offset(rotation.destination);
    *reinterpret_cast<Word*>(destination + share.first) = pack_word<Element, Word>(x[r]);
    *reinterpret_cast<Word*>(destination + share.second) = pack_word<Element, Word>(y[r]);
  }
}

}  // namespace kvtransfer::rope::kernels
