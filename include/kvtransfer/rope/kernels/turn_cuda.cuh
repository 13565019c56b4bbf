#pragma once

#include <ATen/cuda/detail/IntegerDivider.cuh>
#include <cstdint>

#include "kvtransfer/rope/kernels/angles.hpp"
#include "kvtransfer/rope/kernels/lanes_cuda.cuh"
#include "kvtransfer/rope/kernels/turn_arguments.hpp"
#include "kvtransfer/rope/kernels/words_cuda.cuh"

// The CUDA kernel. Keys are a list of rows, one per token, head, batch row and layer; `blockDim.x` threads share a row,
// and each of them owns one word in either half of its rotary window, so both dimensions of all its pairs: no element
// has two readers. Angles are worked out where they are used; nothing but keys and positions is read from memory.

namespace kvtransfer::rope::kernels {

inline constexpr int layers_per_launch = 128;
inline constexpr int threads_per_block = 256;

/// Everything a launch needs, passed by value, so that a captured graph owns it and nothing is copied or awaited.
struct cuda_turn {
  turn_arguments turn;
  at::cuda::detail::IntDivider<unsigned> seq;
  at::cuda::detail::IntDivider<unsigned> kv_heads;
  unsigned rows;  ///< in a layer: batch * kv_heads * seq
  layer_keys layers[layers_per_launch];
};

/// Rows a thread turns at once: several words under way hide the memory's latency. A row of fp8 is as much work as two
/// of 16 bits.
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

__device__ inline row_place place_of(const cuda_turn& turn, unsigned row) {
  const auto above = turn.seq.divmod(row);
  const auto heads = turn.kv_heads.divmod(above.div);
  return {heads.div, heads.mod, above.mod, turn.turn.row(heads.div)};
}

/// The tables of angle_rule in shared memory. Threads of a warp read different pairs, which kernel parameters serve one
/// by one.
template <angle_rule Rule>
struct shared_frequencies {
  alignas(16) std::uint32_t wanted_turns[max_pairs];
  alignas(16) float wanted_value[max_pairs];
  alignas(16) std::uint32_t written_turns[max_pairs];
  alignas(16) float written_value[max_pairs];

  __device__ void fill(const turn_arguments& turn) {
    for (int pair = threadIdx.y * blockDim.x + threadIdx.x; pair < turn.pairs; pair += blockDim.x * blockDim.y) {
      wanted_value[pair] = turn.wanted_frequency.value[pair];
      if constexpr (Rule != angle_rule::difference) {
        written_value[pair] = turn.written_frequency.value[pair];
      }
      if constexpr (Rule == angle_rule::difference || Rule == angle_rule::two_frequencies) {
        wanted_turns[pair] = turn.wanted_frequency.turns[pair];
      }
      if constexpr (Rule == angle_rule::two_frequencies) {
        written_turns[pair] = turn.written_frequency.turns[pair];
      }
    }
  }
};

/// One token's positions, modulo 2^32, which angles ignore.
struct token_positions {
  std::uint32_t wanted = 0;
  std::uint32_t written = 0;
};

__device__ inline token_positions positions_at(const turn_arguments& turn, const row_place& place, int stream) {
  return {static_cast<std::uint32_t>(turn.wanted.at(stream, place.batch, place.head, place.token)),
          static_cast<std::uint32_t>(turn.written.at(stream, place.batch, place.head, place.token))};
}

template <angle_rule Rule>
__device__ inline std::uint32_t angle_of(const shared_frequencies<Rule>& table, int pair, token_positions at) {
  if constexpr (Rule == angle_rule::difference) {
    return exact_angle<cuda_lanes>(at.wanted - at.written, table.wanted_turns[pair], table.wanted_value[pair]);
  } else if constexpr (Rule == angle_rule::two_frequencies) {
    return exact_angle<cuda_lanes>(at.wanted, table.wanted_turns[pair], table.wanted_value[pair]) -
           exact_angle<cuda_lanes>(at.written, table.written_turns[pair], table.written_value[pair]);
  } else {
    return model_angle<cuda_lanes>(at.wanted, table.wanted_value[pair], at.written, table.written_value[pair]);
  }
}

template <class Element, angle_rule Rule>
__device__ inline void pair_rotation(const shared_frequencies<Rule>& table, int pair, token_positions at, float& cosine,
                                     float& sine) {
  if constexpr (Rule == angle_rule::shared) {
    cosine = table.wanted_value[pair];
    sine = table.written_value[pair];
  } else {
    const std::uint32_t angle = angle_of<Rule>(table, pair, at);
    if constexpr (sizeof(Element) <= 2) {
      quick_cosine_and_sine(angle, cosine, sine);
    } else {
      cosine_and_sine<cuda_lanes>(angle, cosine, sine);
    }
  }
}

__device__ inline void rotate(float& x, float& y, float cosine, float sine) {
  const float turned = x * cosine - y * sine;
  y = y * cosine + x * sine;
  x = turned;
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

/// @tparam Streams pairs read their positions on streams of their own (M-RoPE)
template <class Element, class Word, bool Interleaved, angle_rule Rule, bool Streams>
__global__ __launch_bounds__(threads_per_block) void turn_kernel(const __grid_constant__ cuda_turn launch) {
  constexpr int count = elements_in<Word, Element>;
  constexpr int rows = rows_per_thread<Element>;
  __shared__ shared_frequencies<Rule> table;
  const turn_arguments& turn = launch.turn;
  const layer_keys& layer = launch.layers[blockIdx.y];
  const thread_share<count, Interleaved> share(threadIdx.x, turn.pairs);
  const unsigned first_row = blockIdx.x * rows * blockDim.y + threadIdx.y;

  // Keys and positions are asked for first; the table is filled while they come.
  Word words[rows][2];
  row_place places[rows];
  token_positions positions[rows];
#pragma unroll
  for (int r = 0; r < rows; ++r) {
    const unsigned row = first_row + r * blockDim.y;
    if (row < launch.rows) {
      places[r] = place_of(launch, row);
      const auto* source = static_cast<const Element*>(layer.source) + places[r].offset(turn.source);
      words[r][0] = *reinterpret_cast<const Word*>(source + share.first);
      words[r][1] = *reinterpret_cast<const Word*>(source + share.second);
      if constexpr (Rule != angle_rule::shared && !Streams) {
        positions[r] = positions_at(turn, places[r], 0);
      }
    }
  }
  table.fill(turn);
  __syncthreads();

#pragma unroll
  for (int r = 0; r < rows; ++r) {
    if (first_row + r * blockDim.y >= launch.rows) {
      return;
    }
    float x[count];
    float y[count];
    unpack_word<Element>(words[r][0], x);
    unpack_word<Element>(words[r][1], y);
#pragma unroll
    for (int i = 0; i < count; ++i) {
      float cosine;
      float sine;
      constexpr bool within_words = Interleaved && count > 1;
      const bool in_second = within_words && i >= count / 2;
      const int pair = in_second ? share.pairs_of_second + i - count / 2 : share.pairs_of_first + i;
      if constexpr (Streams) {
        positions[r] = positions_at(turn, places[r], turn.stream_of[pair]);
      }
      pair_rotation<Element, Rule>(table, pair, positions[r], cosine, sine);
      if constexpr (within_words) {
        float* const word = in_second ? y : x;
        rotate(word[2 * i % count], word[2 * i % count + 1], cosine, sine);
      } else {
        rotate(x[i], y[i], cosine, sine);
      }
    }
    if (Rule != angle_rule::shared && turn.gain != 1) {
#pragma unroll
      for (int i = 0; i < count; ++i) {
        x[i] *= turn.gain;
        y[i] *= turn.gain;
      }
    }
    auto* destination = static_cast<Element*>(layer.destination) + places[r].offset(turn.destination);
    *reinterpret_cast<Word*>(destination + share.first) = pack_word<Element, Word>(x);
    *reinterpret_cast<Word*>(destination + share.second) = pack_word<Element, Word>(y);
  }
}

}  // namespace kvtransfer::rope::kernels
