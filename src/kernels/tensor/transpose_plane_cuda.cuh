#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/tensor/slot_places_cuda.cuh"

// Slots by elements of one head are a plane. Where the two sides have different neighbours in it, squares of it are
// transposed in registers and meet their neighbours in shared memory, so that both sides are accessed in whole words
// along contiguous memory. While one tile is written the next one is on its way.

namespace kvtransfer::kernels {

/// Some slots by the elements of their head. Along `a` elements are neighbours where they are read, along `b` where
/// they are written.
template <class Element, transposition way>
struct plane {
  const slot_copy& copy;
  const slot_places& places;
  unsigned slots;

  static constexpr bool slots_along_b = way == transposition::slots_to_columns;

  __device__ unsigned elements() const { return static_cast<unsigned>(copy.elements); }
  __device__ unsigned a_count() const { return slots_along_b ? elements() : slots; }
  __device__ unsigned b_count() const { return slots_along_b ? slots : elements(); }

  /// Null where zeros are written.
  __device__ const char* source(unsigned a, unsigned b) const {
    const char* const slot = places.from[slots_along_b ? b : a];
    const std::int64_t element = slots_along_b ? a * sizeof(Element) : b * copy.from.element;
    return slot == nullptr ? nullptr : slot + element;
  }

  __device__ char* target(unsigned a, unsigned b) const {
    return slots_along_b ? places.to[b] + a * copy.to.element : places.to[a] + b * sizeof(Element);
  }
};

/// As many elements along `a` as along `b`, each line a word.
template <class Element, class Word>
struct square {
  static constexpr unsigned side = elements_of<Element, Word>;
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
  static constexpr unsigned squares_of_thread = squares * squares / transposing_threads;

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
  template <class Plane>
  __device__ void read(const Plane& p, unsigned a, unsigned b) {
#pragma unroll
    for (unsigned i = 0; i < shared_tile::squares_of_thread; ++i) {
      const unsigned index = threadIdx.x + i * transposing_threads;
      const unsigned at_a = a + index % shared_tile::squares * part::side;
      const unsigned at_b = b + index / shared_tile::squares * part::side;
#pragma unroll
      for (unsigned line = 0; line < part::side; ++line) {
        if (at_a < p.a_count() && at_b + line < p.b_count()) {
          const char* const from = p.source(at_a, at_b + line);
          parts[i].lines[line] = from == nullptr ? Word{} : *reinterpret_cast<const Word*>(from);
        }
      }
    }
  }

  __device__ void store(shared_tile& shared) const {
#pragma unroll
    for (unsigned i = 0; i < shared_tile::squares_of_thread; ++i) {
      const unsigned index = threadIdx.x + i * transposing_threads;
      const unsigned a = index % shared_tile::squares * part::side;
      const part rotated = parts[i].transposed();
#pragma unroll
      for (unsigned line = 0; line < part::side; ++line) {
        shared.at(a + line, index / shared_tile::squares) = rotated.lines[line];
      }
    }
  }
};

/// Writes the tile whose first element is (a, b), line by line.
template <class Element, class Word, class Plane>
__device__ void write_tile(const Plane& p, unsigned a, unsigned b, tile<Element, Word>& shared) {
  using shared_tile = tile<Element, Word>;
#pragma unroll
  for (unsigned i = 0; i < shared_tile::side * shared_tile::squares / transposing_threads; ++i) {
    const unsigned index = threadIdx.x + i * transposing_threads;
    const unsigned line = index / shared_tile::squares;
    const unsigned at_b = b + index % shared_tile::squares * shared_tile::part::side;
    if (a + line < p.a_count() && at_b < p.b_count()) {
      *reinterpret_cast<Word*>(p.target(a + line, at_b)) = shared.at(line, index % shared_tile::squares);
    }
  }
}

template <class Element, class Word, class Plane>
__device__ void transpose_plane(const Plane& p, tile<Element, Word>& shared) {
  using shared_tile = tile<Element, Word>;
  const unsigned tiles_along_b = (p.b_count() + shared_tile::side - 1) / shared_tile::side;
  const unsigned tiles = tiles_along_b * ((p.a_count() + shared_tile::side - 1) / shared_tile::side);
  tile_share<Element, Word> share;
  const auto read = [&](unsigned index) {
    if (index < tiles) {
      share.read(p, index / tiles_along_b * shared_tile::side, index % tiles_along_b * shared_tile::side);
    }
  };
  read(0);
  for (unsigned index = 0; index < tiles; ++index) {
    share.store(shared);
    __syncthreads();
    read(index + 1);
    write_tile(p, index / tiles_along_b * shared_tile::side, index % tiles_along_b * shared_tile::side, shared);
    __syncthreads();
  }
}

}  // namespace kvtransfer::kernels
