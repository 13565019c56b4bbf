#pragma once

#include <cstdint>

#include "kernels/rope/codes_cuda.cuh"
#include "kernels/rope/quantized_error.hpp"
#include "kernels/rope/quantized_words_cuda.cuh"

// Codes that tokens share a scale for, channel by channel. The last tokens of a group stay in registers until its range
// is known; what comes before them, in groups too long for that, is rotated a second time.

namespace kvtransfer::rope::kernels {

/// The ranges of columns that a block's rows of threads have seen, in shared memory: `[threads, columns]` twice; and
/// then what follows for the codes.
struct column_ranges {
  float* lowest;
  float* highest;
  int columns;

  __device__ column_ranges(float* memory, int columns)
      : lowest(memory), highest(memory + static_cast<int>(blockDim.y) * columns), columns(columns) {}

  __device__ float* minimums() const { return lowest; }
  __device__ float* steps() const { return highest; }  // per unit
  __device__ float* scales() const { return highest + columns; }

  __device__ void put(int column, const element_range& seen) const {
    lowest[threadIdx.y * columns + column] = seen.lowest;
    highest[threadIdx.y * columns + column] = seen.highest;
  }

  /// Joins what all rows have put. All threads of the block must call it.
  __device__ void join(code_type code) const {
    __syncthreads();
    for (int column = threadIdx.y * blockDim.x + threadIdx.x; column < columns; column += blockDim.x * blockDim.y) {
      element_range range;
#pragma unroll 4
      for (unsigned row = 0; row < blockDim.y; ++row) {
        range.join({lowest[row * columns + column], highest[row * columns + column]});
      }
      const float scale = range.scale(code);
      minimums()[column] = range.minimum(code);  // of a column only one thread reads anything
      steps()[column] = steps_per_unit(scale);
      scales()[column] = scale;
    }
    __syncthreads();
  }
};

/// A group of tokens of one head, of which a block has a chunk at a time in registers.
template <class Codes, bool Shared>
struct token_group {
  const quantized_rotation& given;
  thread_tokens all;  ///< from the first chunk on
  scale_row row;
  word_places<Codes> places;
  thread_elements own;
  frequency_table table;

  __device__ int chunk() const { return static_cast<int>(blockDim.y) * tokens_in_registers; }
  /// Where the last chunk begins.
  __device__ int last() const { return (all.count - 1) / chunk() * chunk(); }
  __device__ thread_tokens tokens(int first) const {
    return {all.batch, all.head, all.begin + first, all.count - first};
  }

  /// The rotated elements of the chunk from token `first` on.
  __device__ void rotate_chunk(int first, halves (&elements)[tokens_in_registers]) const {
    const token_words<Codes> read = places.after(first).read(tokens(first));
    const halves scales = read_row(row.scales, own);
    const halves minimums = read_row(row.minimums, own);
#pragma unroll
    for (int k = 0; k < tokens_in_registers; ++k) {
      dequantize<Codes>(read.words[k], scales, minimums, elements[k]);
    }
    rotate_tokens<Shared>(given.rotation, table, own, tokens(first), elements);
  }

  /// Takes a chunk into the ranges of its columns, but for padding.
  __device__ void widen(int first, const halves (&elements)[tokens_in_registers],
                        element_range (&seen)[2 * codes_in_word]) const {
    const thread_tokens chunk = tokens(first);
#pragma unroll
    for (int k = 0; k < tokens_in_registers; ++k) {
      if (chunk.has(k) && given.is_valid(chunk.batch, chunk.head, chunk.begin + chunk.token(k))) {
#pragma unroll
        for (int i = 0; i < 2 * codes_in_word; ++i) {
          seen[i].widen(elements[k].of[i / codes_in_word][i % codes_in_word]);
        }
      }
    }
  }

  __device__ void write(int first, const halves (&elements)[tokens_in_registers], const halves& minimums,
                        const halves& steps_per_unit) const {
#pragma unroll
    for (int k = 0; k < tokens_in_registers; ++k) {
      if (tokens(first).has(k)) {
        places.after(first).write(tokens(first).token(k), elements[k], minimums, steps_per_unit);
      }
    }
  }
};

/// Replaces a group's row of scales, and what goes with it. The threads of a block share out the pairs.
__device__ inline void renew_row(const quantized_rotation& given, const scale_row& row, const column_ranges& ranges) {
  for (int pair = threadIdx.y * blockDim.x + threadIdx.x; pair < given.rotation.pairs;
       pair += blockDim.x * blockDim.y) {
    if (row.errors != nullptr) {
      rotate_error_of_pair(given, row, pair);
    }
    const pair_groups groups(given.rotation, pair);
    for (const std::int64_t column : {groups.first, groups.second}) {
      row.scales[column] = ranges.scales()[column];
      if (row.minimums != nullptr) {
        row.minimums[column] = ranges.minimums()[column];
      }
    }
  }
}

/// Block (x, y) rotates one group of one head of layer y.
template <class Codes, bool Shared>
__global__ __launch_bounds__(threads_per_words_block,
                             3) void rotate_groups_kernel(const __grid_constant__ cuda_words launch) {
  extern __shared__ __align__(16) float memory[];
  const quantized_rotation& given = launch.given;
  const quantized_keys& keys = launch.layers[blockIdx.y];
  const std::int64_t index = blockIdx.x % given.groups;
  const std::int64_t head = blockIdx.x / given.groups % given.rotation.kv_heads;
  const std::int64_t batch = blockIdx.x / given.groups / given.rotation.kv_heads;
  const std::int64_t begin = index == 0 ? 0 : given.group_ends[index - 1];
  const token_group<Codes, Shared> group{given,
                                         {batch, head, begin, static_cast<int>(given.group_ends[index] - begin)},
                                         given.row_at(keys, batch, head, index),
                                         word_places<Codes>(given.codes_at(keys, batch, head, begin), given.rotation),
                                         thread_elements(given.rotation),
                                         frequency_table(memory, given.rotation)};
  __syncthreads();
  halves elements[tokens_in_registers];
  element_range seen[2 * codes_in_word];  // one axis: of two, nvcc 13.0 initializes the first row alone
  for (int first = 0; first <= group.last(); first += group.chunk()) {
    group.rotate_chunk(first, elements);
    group.widen(first, elements, seen);
  }
  const column_ranges ranges(memory + frequency_table::floats(given.rotation.pairs), 2 * given.rotation.pairs);
#pragma unroll
  for (int i = 0; i < 2 * codes_in_word; ++i) {
    ranges.put(group.own.first[i / codes_in_word] + i % codes_in_word, seen[i]);
  }
  ranges.join(Codes::code);
  const halves minimums = read_row(ranges.minimums(), group.own);
  const halves steps = read_row(ranges.steps(), group.own);
  group.write(group.last(), elements, minimums, steps);
  for (int first = 0; first < group.last(); first += group.chunk()) {
    group.rotate_chunk(first, elements);
    group.write(first, elements, minimums, steps);
  }
  __syncthreads();  // until here the old scales are read
  renew_row(given, group.row, ranges);
}

}  // namespace kvtransfer::rope::kernels
