#include <ATen/cuda/CUDAContext.h>
#include <c10/cuda/CUDAException.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kvtransfer/tensor/kernels/layer_list_cuda.cuh"
#include "kvtransfer/tensor/kernels/slot_copy.hpp"

// Slots by elements of one head are a plane. Where the two sides have different neighbours in it, squares of it are
// transposed in registers and meet their neighbours in shared memory, so that both sides are accessed in whole words
// along contiguous memory. While one tile is written the next one is on its way.

namespace kvtransfer::kernels {
namespace {

constexpr unsigned threads = 256;
/// So many at a time hide the memory's latency while some wait for their tiles.
constexpr unsigned blocks_per_multiprocessor = 4;

/// What a thread reads or writes at once where alignment allows.
template <class Element>
using word_of = std::conditional_t<sizeof(Element) < 4, uint2, uint4>;

/// The plane of a run and how either side holds it: bytes from one element to the next along both axes. Along `a` the
/// elements of `from` are nearest to one another.
struct plane {
  unsigned a_count;
  unsigned b_count;
  std::int64_t from_a, from_b;
  std::int64_t to_a, to_b;

  __device__ plane(const slot_copy& copy, std::int64_t slots) {
    const bool slots_first = copy.from.slot < copy.from.element;
    a_count = static_cast<unsigned>(slots_first ? slots : copy.elements);
    b_count = static_cast<unsigned>(slots_first ? copy.elements : slots);
    from_a = slots_first ? copy.from.slot : copy.from.element;
    from_b = slots_first ? copy.from.element : copy.from.slot;
    to_a = slots_first ? copy.to.slot : copy.to.element;
    to_b = slots_first ? copy.to.element : copy.to.slot;
  }

  /// Whether both sides have the same neighbours, so that nothing is transposed.
  __device__ bool is_alike() const { return to_a < to_b; }

  /// Whether all that contiguous lines of `from` and `to` hold is whole words.
  template <class Element, class Word>
  __device__ bool has_words(const char* to, const char* from) const {
    const std::int64_t in_lines = is_alike() ? to_a : to_b;
    const std::int64_t between_lines = from_b | (is_alike() ? to_b : to_a);
    const unsigned counts = is_alike() ? a_count : a_count | b_count;
    const auto places = reinterpret_cast<std::uintptr_t>(to) | reinterpret_cast<std::uintptr_t>(from) |
                        static_cast<std::uintptr_t>(between_lines) | counts * sizeof(Element);
    return from_a == sizeof(Element) && in_lines == sizeof(Element) && places % sizeof(Word) == 0;
  }

  /// The same plane with `count` neighbours along `a` as one element. Both sides must have words of so many.
  __device__ plane joined(unsigned count) const {
    plane wide = *this;
    wide.a_count /= count;
    wide.from_a *= count;
    wide.to_a *= count;
    return wide;
  }
};

/// As many elements along `a` as along `b`, each line a word.
template <class Element, class Word>
struct square {
  static constexpr unsigned side = sizeof(Word) / sizeof(Element);
  Word lines[side];

  __device__ square transposed() const {
    Element before[side][side];
    Element after[side][side];
    std::memcpy(before, lines, sizeof(lines));
#pragma unroll
    for (unsigned i = 0; i < side; ++i) {
#pragma unroll
      for (unsigned j = 0; j < side; ++j) {
        after[i][j] = before[j][i];
      }
    }
    square result;
    std::memcpy(result.lines, after, sizeof(lines));
    return result;
  }
};

/// Squares on their way through shared memory: lines along `b`, in an order that keeps both accesses off each other's
/// banks.
template <class Element, class Word>
struct tile {
  using part = square<Element, Word>;
  static constexpr unsigned squares = part::side > 1 ? 16 : 64;  ///< along either axis
  static constexpr unsigned side = squares * part::side;
  static constexpr unsigned squares_of_thread = squares * squares / threads;

  Word words[side * squares];

  /// The line along `b` at `a`, of the squares of number `b_square`.
  __device__ Word& at(unsigned a, unsigned b_square) {
    return words[a * squares + (b_square ^ (a / part::side) % squares)];
  }
};

/// A thread's share of a tile.
template <class Element, class Word>
struct tile_share {
  using shared_tile = tile<Element, Word>;
  using part = typename shared_tile::part;
  part parts[shared_tile::squares_of_thread] = {};

  /// Asks for the squares of the tile whose first element is (a, b).
  __device__ void read(const char* from, const plane& p, unsigned a, unsigned b) {
#pragma unroll
    for (unsigned i = 0; i < shared_tile::squares_of_thread; ++i) {
      const unsigned index = threadIdx.x + i * threads;
      const unsigned at_a = a + index % shared_tile::squares * part::side;
      const unsigned at_b = b + index / shared_tile::squares * part::side;
      const char* const first = from + at_a * p.from_a + at_b * p.from_b;
#pragma unroll
      for (unsigned line = 0; line < part::side; ++line) {
        if (at_a < p.a_count && at_b + line < p.b_count) {
          parts[i].lines[line] = *reinterpret_cast<const Word*>(first + line * p.from_b);
        }
      }
    }
  }

  __device__ void store(shared_tile& shared) const {
#pragma unroll
    for (unsigned i = 0; i < shared_tile::squares_of_thread; ++i) {
      const unsigned index = threadIdx.x + i * threads;
      const unsigned a = index % shared_tile::squares * part::side;
      const part turned = parts[i].transposed();
#pragma unroll
      for (unsigned line = 0; line < part::side; ++line) {
        shared.at(a + line, index / shared_tile::squares) = turned.lines[line];
      }
    }
  }
};

/// Writes the tile whose first element is (a, b), line by line.
template <class Element, class Word>
__device__ void write_tile(char* to, const plane& p, unsigned a, unsigned b, tile<Element, Word>& shared) {
  using shared_tile = tile<Element, Word>;
#pragma unroll
  for (unsigned i = 0; i < shared_tile::side * shared_tile::squares / threads; ++i) {
    const unsigned index = threadIdx.x + i * threads;
    const unsigned line = index / shared_tile::squares;
    const unsigned at_b = b + index % shared_tile::squares * shared_tile::part::side;
    if (a + line < p.a_count && at_b < p.b_count) {
      *reinterpret_cast<Word*>(to + (a + line) * p.to_a + at_b * p.to_b) =
          shared.at(line, index % shared_tile::squares);
    }
  }
}

/// @param from null where zeros are written
template <class Element, class Word>
__device__ void transpose_plane(char* to, const char* from, const plane& p) {
  using shared_tile = tile<Element, Word>;
  __shared__ shared_tile shared;
  const unsigned tiles_along_a = (p.a_count + shared_tile::side - 1) / shared_tile::side;
  const unsigned tiles = tiles_along_a * ((p.b_count + shared_tile::side - 1) / shared_tile::side);
  tile_share<Element, Word> share;
  const auto read = [&](unsigned index) {
    if (from != nullptr && index < tiles) {
      share.read(from, p, index % tiles_along_a * shared_tile::side, index / tiles_along_a * shared_tile::side);
    }
  };
  read(0);
  for (unsigned index = 0; index < tiles; ++index) {
    share.store(shared);
    __syncthreads();
    read(index + 1);
    write_tile(to, p, index % tiles_along_a * shared_tile::side, index / tiles_along_a * shared_tile::side, shared);
    __syncthreads();
  }
}

/// Copies where nothing is transposed. Several reads are under way before the first is waited for.
template <class Word>
__device__ void copy_plane(char* to, const char* from, const plane& p) {
  constexpr unsigned at_once = 4;
  for (unsigned first = threadIdx.x; first < p.a_count * p.b_count; first += at_once * threads) {
    Word held[at_once] = {};
#pragma unroll
    for (unsigned i = 0; i < at_once; ++i) {
      const unsigned index = first + i * threads;
      if (from != nullptr && index < p.a_count * p.b_count) {
        held[i] = *reinterpret_cast<const Word*>(from + index % p.a_count * p.from_a + index / p.a_count * p.from_b);
      }
    }
#pragma unroll
    for (unsigned i = 0; i < at_once; ++i) {
      const unsigned index = first + i * threads;
      if (index < p.a_count * p.b_count) {
        *reinterpret_cast<Word*>(to + index % p.a_count * p.to_a + index / p.a_count * p.to_b) = held[i];
      }
    }
  }
}

/// Block (x, y, z) copies head z of run x of layer y.
template <class Element>
__global__ void __launch_bounds__(threads, blocks_per_multiprocessor)
    copy_head(const __grid_constant__ slot_copy copy, const __grid_constant__ layer_list list) {
  const layer_bytes layer = list.layers[blockIdx.y];
  const byte_run run = copy.run_at(blockIdx.x);
  char* const to = layer.to + run.to + blockIdx.z * copy.to.head;
  const char* const from = run.from < 0 ? nullptr : layer.from + run.from + blockIdx.z * copy.from.head;
  using word = word_of<Element>;
  const plane p(copy, run.count);
  const bool words = p.has_words<Element, word>(to, from);
  if (p.is_alike()) {
    words ? copy_plane<word>(to, from, p.joined(sizeof(word) / sizeof(Element))) : copy_plane<Element>(to, from, p);
  } else if (words) {
    transpose_plane<Element, word>(to, from, p);
  } else {
    transpose_plane<Element, Element>(to, from, p);
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
