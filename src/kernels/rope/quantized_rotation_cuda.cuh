#pragma once

#include <cstdint>

#include "kernels/cuda_layers.cuh"
#include "kernels/rope/angles_cuda.cuh"
#include "kernels/rope/codes_cuda.cuh"
#include "kernels/rope/lanes_cuda.cuh"
#include "kernels/rope/quantized_rotation.hpp"

// The CUDA kernel of quantized keys of any shape; quantized_words_cuda.cuh has those of the usual ones. A block rotates
// one head's tokens that share a row of scales, or per token a few tokens, some at a time in shared memory, element by
// element. Per channel the range must be known before the first code is written: a group is rotated twice, the second
// time from the multiprocessor's cache, so that groups of any length fit.

namespace kvtransfer::rope::kernels {

inline constexpr int threads_per_tile = 256;

/// Everything a launch needs, passed by value as `cuda_rotation` is.
struct cuda_tiles {
  quantized_rotation given;
  std::int64_t tiles;  ///< in a head
  int tokens_at_a_time;
  quantized_keys layers[kvtransfer::kernels::layers_per_launch];
};

/// A block's shared memory, floats each.
struct shared_tile {
  frequency_table frequencies;
  float* elements;  ///< [tokens at a time, count]
  float* scales;    ///< per token [tokens at a time, groups], per channel [count]
  float* minimums;
};

/// Rows of scales that a chunk has in shared memory, and how many scales are in one.
__host__ __device__ inline int scale_rows(const quantized_rotation& given, int tokens) {
  return given.is_per_channel() ? 1 : tokens;
}
__host__ __device__ inline int scales_in_row(const quantized_rotation& given) {
  return static_cast<int>(given.count / given.group_size);
}

/// Floats of shared memory for so many tokens at a time.
__host__ __device__ inline int shared_floats(const quantized_rotation& given, int tokens) {
  return tokens * static_cast<int>(given.count) + 2 * scale_rows(given, tokens) * scales_in_row(given) +
         frequency_table::floats(given.rotation.pairs);
}

__device__ inline shared_tile tile_in(float* memory, const cuda_tiles& launch) {
  const quantized_rotation& given = launch.given;
  const int scales = scale_rows(given, launch.tokens_at_a_time) * scales_in_row(given);
  float* const elements = memory + frequency_table::floats(given.rotation.pairs);
  float* const after_elements = elements + launch.tokens_at_a_time * given.count;
  return {frequency_table(memory, given.rotation), elements, after_elements, after_elements + scales};
}

/// Some tokens of one head, where they lie.
struct token_range {
  std::int64_t batch;
  std::int64_t head;
  std::int64_t first;
  int tokens;
  std::uint8_t* codes;  ///< of the first token
  scale_row row;        ///< of the first token, or of the group
};

/// Cosine and sine, gain included, that a pair of a token rotates by.
__device__ inline void rotation_of(const rotation_arguments& rotation, const shared_tile& tile,
                                   const token_range& range, int token, int pair, float& cosine, float& sine) {
  const pair_frequency f = tile.frequencies.at(pair);
  if (rotation.rule == angle_rule::shared) {
    cosine = f.target_value;
    sine = f.stored_value;
    return;
  }
  const int stream = rotation.many_streams ? rotation.stream_of[pair] : 0;
  const token_positions at = positions_at(rotation, stream, range.batch, range.head, range.first + token);
  quick_cosine_and_sine(rotations_of(rotation.rule, f, at), cosine, sine);
  cosine *= rotation.gain;
  sine *= rotation.gain;
}

/// The element that a code stands for.
__device__ inline float element_at(const quantized_rotation& given, const token_range& range, int token, int column) {
  const float number = number_at(range.codes + token * given.rotation.source.token, column, given.code);
  const scale_row row = given.is_per_channel() ? range.row : given.row_after(range.row, token);
  const int group = column / static_cast<int>(given.group_size);
  return has_minimum(given.code) ? number * row.scales[group] + row.minimums[group] : number * row.scales[group];
}

/// Rotated elements of `range` in shared memory.
__device__ inline void rotate_into_tile(const quantized_rotation& given, const shared_tile& tile,
                                        const token_range& range) {
  const rotation_arguments& rotation = given.rotation;
  const int count = static_cast<int>(given.count);
  const int window = static_cast<int>(given.window);
  for (int i = threadIdx.x; i < range.tokens * rotation.pairs; i += blockDim.x) {
    const int token = i / rotation.pairs;
    const int pair = i % rotation.pairs;
    const int first = window + (rotation.interleaved ? 2 * pair : pair);
    const int second = rotation.interleaved ? first + 1 : first + rotation.pairs;
    float x = element_at(given, range, token, first);
    float y = element_at(given, range, token, second);
    float cosine, sine;
    rotation_of(rotation, tile, range, token, pair, cosine, sine);
    rotate(x, y, cosine, sine);
    tile.elements[token * count + first] = x;
    tile.elements[token * count + second] = y;
  }
  const int beside = count - 2 * rotation.pairs;  // elements that do not rotate, in groups of some that do
  for (int i = threadIdx.x; i < range.tokens * beside; i += blockDim.x) {
    const int column = i % beside < window ? i % beside : i % beside + 2 * rotation.pairs;
    tile.elements[i / beside * count + column] = element_at(given, range, i / beside, column);
  }
}

/// New codes for `range`, whose rotated elements and new scales are in shared memory.
__device__ inline void write_codes(const quantized_rotation& given, const shared_tile& tile, const token_range& range) {
  const int count = static_cast<int>(given.count);
  const int in_byte = given.code == code_type::int4 ? 2 : 1;
  const int bytes = count / in_byte;
  const auto code_at = [&](int token, int column) {
    const int scale =
        column / static_cast<int>(given.group_size) + (given.is_per_channel() ? 0 : token * scales_in_row(given));
    const float above = tile.elements[token * count + column] - tile.minimums[scale];
    return code_of(above * steps_per_unit(tile.scales[scale]), given.code);
  };
  for (int i = threadIdx.x; i < range.tokens * bytes; i += blockDim.x) {
    const int token = i / bytes;
    const int byte = i % bytes;
    std::uint8_t* const to = range.codes + token * given.rotation.source.token + byte;
    *to = in_byte == 1 ? code_at(token, byte)
                       : (code_at(token, 2 * byte) & 15) | (code_at(token, 2 * byte + 1) & 15) << 4;
  }
}

/// `whole`'s tokens from `skipped` on, as many as are held at a time.
__device__ inline token_range part_of(const token_range& whole, const quantized_rotation& given, int skipped,
                                      int at_a_time) {
  token_range part = whole;
  part.first += skipped;
  part.tokens = whole.tokens - skipped < at_a_time ? whole.tokens - skipped : at_a_time;
  part.codes += skipped * given.rotation.source.token;
  return part;
}

/// One group of tokens. Every thread finds the range of some columns.
__device__ inline void requantize_group(const cuda_tiles& launch, const shared_tile& tile, const token_range& group) {
  const quantized_rotation& given = launch.given;
  const int count = static_cast<int>(given.count);
  for (int first_column = 0; first_column < count; first_column += blockDim.x) {
    const int column = first_column + threadIdx.x;
    element_range seen;
    for (int skipped = 0; skipped < group.tokens; skipped += launch.tokens_at_a_time) {
      const token_range part = part_of(group, given, skipped, launch.tokens_at_a_time);
      rotate_into_tile(given, tile, part);
      __syncthreads();
      for (int token = 0; column < count && token < part.tokens; ++token) {
        if (given.is_valid(part.batch, part.head, part.first + token)) {
          seen.widen(tile.elements[token * count + column]);
        }
      }
      __syncthreads();
    }
    if (column < count) {
      tile.scales[column] = seen.scale(given.code);
      tile.minimums[column] = seen.minimum(given.code);
    }
  }
  for (int skipped = 0; skipped < group.tokens; skipped += launch.tokens_at_a_time) {
    const token_range part = part_of(group, given, skipped, launch.tokens_at_a_time);
    rotate_into_tile(given, tile, part);
    __syncthreads();
    write_codes(given, tile, part);
    __syncthreads();
  }
  for (int pair = threadIdx.x; group.row.errors != nullptr && pair < given.rotation.pairs; pair += blockDim.x) {
    rotate_error_of_pair(given, group.row, pair);
  }
  __syncthreads();
  for (int column = threadIdx.x; column < count; column += blockDim.x) {
    group.row.scales[column] = tile.scales[column];
    if (has_minimum(given.code)) {
      group.row.minimums[column] = tile.minimums[column];
    }
  }
}

/// A few tokens with scales of their own. Every warp finds the range of some groups.
__device__ inline void requantize_tokens(const cuda_tiles& launch, const shared_tile& tile, const token_range& range) {
  const quantized_rotation& given = launch.given;
  const int groups = scales_in_row(given);
  const int size = static_cast<int>(given.group_size);
  const int lane = threadIdx.x % 32;
  rotate_into_tile(given, tile, range);
  for (int token = threadIdx.x; range.row.errors != nullptr && token < range.tokens; token += blockDim.x) {
    rotate_errors_of_token(given, given.row_after(range.row, token));
  }
  __syncthreads();
  for (int i = threadIdx.x / 32; i < range.tokens * groups; i += threads_per_tile / 32) {
    const float* const elements = tile.elements + i / groups * given.count + i % groups * size;
    element_range seen;
    for (int element = lane; element < size; element += 32) {
      seen.widen(elements[element]);
    }
    seen.join_lanes(32);
    if (lane == 0) {
      tile.scales[i] = seen.scale(given.code);
      tile.minimums[i] = seen.minimum(given.code);
      const scale_row row = given.row_after(range.row, i / groups);
      row.scales[i % groups] = tile.scales[i];
      if (has_minimum(given.code)) {
        row.minimums[i % groups] = tile.minimums[i];
      }
    }
  }
  __syncthreads();
  write_codes(given, tile, range);
}

__global__ __launch_bounds__(threads_per_tile) void rotate_quantized_keys_kernel(
    const __grid_constant__ cuda_tiles launch) {
  extern __shared__ __align__(16) float memory[];
  const quantized_rotation& given = launch.given;
  const rotation_arguments& rotation = given.rotation;
  const shared_tile tile = tile_in(memory, launch);
  __syncthreads();
  const std::int64_t index = blockIdx.x % launch.tiles;
  const std::int64_t row = blockIdx.x / launch.tiles;
  token_range range;
  range.batch = row / rotation.kv_heads;
  range.head = row % rotation.kv_heads;
  range.first = index * launch.tokens_at_a_time;
  std::int64_t end = min(range.first + launch.tokens_at_a_time, rotation.seq);
  if (given.is_per_channel()) {
    range.first = index == 0 ? 0 : given.group_ends[index - 1];
    end = given.group_ends[index];
  }
  range.tokens = static_cast<int>(end - range.first);
  const quantized_keys& keys = launch.layers[blockIdx.y];
  range.codes = given.codes_at(keys, range.batch, range.head, range.first);
  range.row = given.row_at(keys, range.batch, range.head, given.is_per_channel() ? index : range.first);
  given.is_per_channel() ? requantize_group(launch, tile, range) : requantize_tokens(launch, tile, range);
}

}  // namespace kvtransfer::rope::kernels
