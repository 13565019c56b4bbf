#pragma once

#include <cstdint>

#include "kernels/rope/codes_cuda.cuh"
#include "kernels/rope/quantized_error.hpp"
#include "kernels/rope/quantized_words_cuda.cuh"

// Codes with scales of their own in every token. The lanes that share a token find the ranges of its groups among
// themselves.

namespace kvtransfer::rope::kernels {

/// The two groups of a token in which a thread's words lie, which may be one.
struct word_groups {
  int index[2];
  int lanes;   ///< that share a group; neighbours
  bool whole;  ///< a group is a whole head

  __device__ word_groups(const quantized_rotation& given, const thread_elements& own) {
    const int size = static_cast<int>(given.group_size);
    index[0] = own.first[0] / size;
    index[1] = own.first[1] / size;
    whole = size > given.rotation.pairs;
    lanes = whole ? blockDim.x : size / codes_in_word;
  }

  /// Whether this is the one thread of its group that writes what all have found.
  __device__ bool leads() const { return threadIdx.x % lanes == 0; }

  __device__ void write(const scale_row& row, const float (&scales)[2], const float (&minimums)[2]) const {
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      row.scales[index[h]] = scales[h];
      if (row.minimums != nullptr) {
        row.minimums[index[h]] = minimums[h];
      }
    }
  }

  /// The ranges of both groups; all threads of the warp must call it.
  __device__ void find_ranges(const halves& elements, element_range (&ranges)[2]) const {
#pragma unroll
    for (int i = 0; i < 2 * codes_in_word; ++i) {
      ranges[i / codes_in_word].widen(elements.of[i / codes_in_word][i % codes_in_word]);
    }
    if (whole) {
      ranges[0].join(ranges[1]);
    }
    ranges[0].join_lanes(lanes);
    if (whole) {
      ranges[1] = ranges[0];
    } else {
      ranges[1].join_lanes(lanes);
    }
  }
};

/// Block (x, y) rotates some tokens of one head of layer y; threads (x, y) own four elements of either half of some of
/// them.
template <class Codes, bool Shared>
__global__ __launch_bounds__(threads_per_words_block,
                             3) void rotate_tokens_kernel(const __grid_constant__ cuda_words launch) {
  extern __shared__ __align__(16) float memory[];
  const quantized_rotation& given = launch.given;
  const rotation_arguments& rotation = given.rotation;
  const quantized_keys& keys = launch.layers[blockIdx.y];
  const int tokens = blockDim.y * tokens_in_registers;
  const std::int64_t tiles = (rotation.seq + tokens - 1) / tokens;
  const std::int64_t begin = blockIdx.x % tiles * tokens;
  const std::int64_t head = blockIdx.x / tiles % rotation.kv_heads;
  const std::int64_t batch = blockIdx.x / tiles / rotation.kv_heads;
  const int count = static_cast<int>(rotation.seq - begin < tokens ? rotation.seq - begin : tokens);

  const thread_tokens mine{batch, head, begin, count};
  const thread_elements own(rotation);
  const word_groups groups(given, own);
  const word_places<Codes> places(given.codes_at(keys, batch, head, begin), rotation);
  const scale_row rows = given.row_at(keys, batch, head, begin);

  // All that a thread reads is asked for before the first of it is waited for.
  const token_words<Codes> read = places.read(mine);
  float old_scales[tokens_in_registers][2] = {};
  float old_minimums[tokens_in_registers][2] = {};
#pragma unroll
  for (int k = 0; k < tokens_in_registers; ++k) {
    if (mine.has(k)) {
      const scale_row row = given.row_after(rows, mine.token(k));
#pragma unroll
      for (int h = 0; h < 2; ++h) {
        old_scales[k][h] = row.scales[groups.index[h]];
        old_minimums[k][h] = row.minimums == nullptr ? 0 : row.minimums[groups.index[h]];
      }
    }
  }
  const frequency_table table(memory, rotation);
  for (int token = threadIdx.y * blockDim.x + threadIdx.x; rows.errors != nullptr && token < count;
       token += blockDim.x * blockDim.y) {
    rotate_errors_of_token(given, given.row_after(rows, token));
  }
  __syncthreads();  // the table is filled, and from here on scales are replaced

  halves elements[tokens_in_registers];
#pragma unroll
  for (int k = 0; k < tokens_in_registers; ++k) {
    dequantize<Codes>(read.words[k], filled(old_scales[k]), filled(old_minimums[k]), elements[k]);
  }
  rotate_tokens<Shared>(rotation, table, own, mine, elements);
#pragma unroll
  for (int k = 0; k < tokens_in_registers; ++k) {
    element_range ranges[2];
    groups.find_ranges(elements[k], ranges);
    if (mine.has(k)) {
      const float scales[2] = {ranges[0].scale(Codes::code), ranges[1].scale(Codes::code)};
      const float minimums[2] = {ranges[0].minimum(Codes::code), ranges[1].minimum(Codes::code)};
      places.write(mine.token(k), elements[k], filled(minimums),
                   filled({steps_per_unit(scales[0]), steps_per_unit(scales[1])}));
      if (groups.leads()) {
        groups.write(given.row_after(rows, mine.token(k)), scales, minimums);
      }
    }
  }
}

}  // namespace kvtransfer::rope::kernels
