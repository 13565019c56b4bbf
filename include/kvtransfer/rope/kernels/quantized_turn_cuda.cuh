#pragma once

#include <cstdint>

#include "kvtransfer/rope/kernels/angles_cuda.cuh"
#include "kvtransfer/rope/kernels/codes_cuda.cuh"
#include "kvtransfer/rope/kernels/lanes_cuda.cuh"
#include "kvtransfer/rope/kernels/quantized_turn.hpp"

// The CUDA kernel of quantized keys. A block turns one head's tokens that share a row of scales, or per token a few tokens, some
// at a time in shared memory. Per channel the range must be known before the first code is written: a group is turned twice, the
// second time from the multiprocessor's cache, so that groups of any length fit.

namespace kvtransfer::rope::kernels {

inline constexpr int threads_per_tile = 256;
inline constexpr unsigned whole_warp = 0xffffffffu;

/// What a launch needs beside the arguments.
struct cuda_tiles {
  quantized_turn given;
  std::int64_t tiles;  ///< in a head
  int tokens_at_a_time;
};

/// A block's shared memory, floats each.
struct shared_tile {
  float* elements;  ///< [tokens at a time, count]
  float* scales;    ///< per token [tokens at a time, groups], per channel [count]
  float* minimums;
  float* wanted_value;  ///< [pairs], as `frequencies`
  float* written_value;
  std::uint32_t* wanted_turns;
  std::uint32_t* written_turns;
};

/// Rows of scales that a chunk has in shared memory, and how many scales are in one.
__host__ __device__ inline int scale_rows(const quantized_turn& given, int tokens) { return given.is_per_channel() ? 1 : tokens; }
__host__ __device__ inline int scales_in_row(const quantized_turn& given) {
  return static_cast<int>(given.count / given.group_size);
}

/// Floats of shared memory for so many tokens at a time.
__host__ __device__ inline int shared_floats(const quantized_turn& given, int tokens) {
  return tokens * static_cast<int>(given.count) + 2 * scale_rows(given, tokens) * scales_in_row(given) + 4 * given.turn.pairs;
}

__device__ inline shared_tile tile_in(float* memory, const cuda_tiles& launch) {
  const quantized_turn& given = launch.given;
  const int scales = scale_rows(given, launch.tokens_at_a_time) * scales_in_row(given);
  shared_tile tile;
  tile.elements = memory;
  tile.scales = tile.elements + launch.tokens_at_a_time * given.count;
  tile.minimums = tile.scales + scales;
  tile.wanted_value = tile.minimums + scales;
  tile.written_value = tile.wanted_value + given.turn.pairs;
  tile.wanted_turns = reinterpret_cast<std::uint32_t*>(tile.written_value + given.turn.pairs);
  tile.written_turns = tile.wanted_turns + given.turn.pairs;
  for (int pair = threadIdx.x; pair < given.turn.pairs; pair += blockDim.x) {
    tile.wanted_value[pair] = given.turn.wanted_frequency.value[pair];
    tile.written_value[pair] = given.turn.written_frequency.value[pair];
    tile.wanted_turns[pair] = given.turn.wanted_frequency.turns[pair];
    tile.written_turns[pair] = given.turn.written_frequency.turns[pair];
  }
  return tile;
}

/// Some tokens of one head, where they lie.
struct token_range {
  std::int64_t batch;
  std::int64_t head;
  std::int64_t first;
  int tokens;
  std::uint8_t* codes;  ///< of the first token
  float* scales;        ///< of the first token, or of the group
  float* minimums;
};

/// Cosine and sine, gain included, that a pair of a token turns by.
__device__ inline void rotation_of(const turn_arguments& turn, const shared_tile& tile, const token_range& range, int token,
                                   int pair, float& cosine, float& sine) {
  if (turn.rule == angle_rule::shared) {
    cosine = tile.wanted_value[pair];
    sine = tile.written_value[pair];
    return;
  }
  const int stream = turn.many_streams ? turn.stream_of[pair] : 0;
  const token_positions at{
      static_cast<std::uint32_t>(turn.wanted.at(stream, range.batch, range.head, range.first + token)),
      static_cast<std::uint32_t>(turn.written.at(stream, range.batch, range.head, range.first + token))};
  const pair_frequency f{tile.wanted_turns[pair], tile.written_turns[pair], tile.wanted_value[pair], tile.written_value[pair]};
  const float turns = turn.rule == angle_rule::difference        ? turns_of<angle_rule::difference>(f, at)
                      : turn.rule == angle_rule::two_frequencies ? turns_of<angle_rule::two_frequencies>(f, at)
                                                                 : turns_of<angle_rule::model_faithful>(f, at);
  quick_cosine_and_sine(turns, cosine, sine);
  cosine *= turn.gain;
  sine *= turn.gain;
}

/// The element that a code stands for.
__device__ inline float element_at(const quantized_turn& given, const token_range& range, int token, int column) {
  const float number = number_at(range.codes + token * given.turn.source.token, column, given.code);
  const std::int64_t scale =
      column / static_cast<int>(given.group_size) + (given.is_per_channel() ? 0 : token * given.scales.token);
  return has_minimum(given.code) ? number * range.scales[scale] + range.minimums[scale] : number * range.scales[scale];
}

/// Turned elements of `range` in shared memory.
__device__ inline void turn_into_tile(const quantized_turn& given, const shared_tile& tile, const token_range& range) {
  const turn_arguments& turn = given.turn;
  const int count = static_cast<int>(given.count);
  const int window = static_cast<int>(given.window);
  for (int i = threadIdx.x; i < range.tokens * turn.pairs; i += blockDim.x) {
    const int token = i / turn.pairs;
    const int pair = i % turn.pairs;
    const int first = window + (turn.interleaved ? 2 * pair : pair);
    const int second = turn.interleaved ? first + 1 : first + turn.pairs;
    const float x = element_at(given, range, token, first);
    const float y = element_at(given, range, token, second);
    float cosine, sine;
    rotation_of(turn, tile, range, token, pair, cosine, sine);
    tile.elements[token * count + first] = x * cosine - y * sine;
    tile.elements[token * count + second] = y * cosine + x * sine;
  }
  const int beside = count - 2 * turn.pairs;  // elements that do not turn, in groups of some that do
  for (int i = threadIdx.x; i < range.tokens * beside; i += blockDim.x) {
    const int column = i % beside < window ? i % beside : i % beside + 2 * turn.pairs;
    tile.elements[i / beside * count + column] = element_at(given, range, i / beside, column);
  }
}

/// What the elements of a group have shown so far.
struct element_range {
  float lowest = __builtin_huge_valf();
  float highest = -__builtin_huge_valf();
  float spoiled = 0;  ///< NaN once an element was not finite

  __device__ void widen(float element) {
    lowest = fminf(lowest, element);
    highest = fmaxf(highest, element);
    spoiled += element * 0.0f;
  }
  __device__ void join_warp() {
    for (int step = 16; step > 0; step /= 2) {
      lowest = fminf(lowest, __shfl_xor_sync(whole_warp, lowest, step));
      highest = fmaxf(highest, __shfl_xor_sync(whole_warp, highest, step));
      spoiled += __shfl_xor_sync(whole_warp, spoiled, step);
    }
  }
  __device__ float scale(code_type code) const {
    const float reach = has_minimum(code) ? highest - lowest : fmaxf(-lowest, highest);
    const float step = reach / largest_code(code);
    const float scale = reach > 0 && step < smallest_scale ? smallest_scale : step;
    return lowest > highest ? spoiled : scale + spoiled;  // nothing but padding, or but NaN: no range
  }
  __device__ float minimum(code_type code) const { return has_minimum(code) && lowest <= highest ? lowest : 0.0f; }
};

/// New codes for `range`, whose turned elements and new scales are in shared memory.
__device__ inline void write_codes(const quantized_turn& given, const shared_tile& tile, const token_range& range) {
  const int count = static_cast<int>(given.count);
  const int in_byte = given.code == code_type::int4 ? 2 : 1;
  const int bytes = count / in_byte;
  const auto code_at = [&](int token, int column) {
    const int scale = column / static_cast<int>(given.group_size) + (given.is_per_channel() ? 0 : token * scales_in_row(given));
    const float steps_per_unit = tile.scales[scale] == 0 ? 0.0f : 1 / tile.scales[scale];
    return code_of((tile.elements[token * count + column] - tile.minimums[scale]) * steps_per_unit, given.code);
  };
  for (int i = threadIdx.x; i < range.tokens * bytes; i += blockDim.x) {
    const int token = i / bytes;
    const int byte = i % bytes;
    std::uint8_t* const to = range.codes + token * given.turn.source.token + byte;
    *to = in_byte == 1 ? code_at(token, byte) : (code_at(token, 2 * byte) & 15) | (code_at(token, 2 * byte + 1) & 15) << 4;
  }
}

/// `whole`'s tokens from `skipped` on, as many as are held at a time.
__device__ inline token_range part_of(const token_range& whole, const quantized_turn& given, int skipped, int at_a_time) {
  token_range part = whole;
  part.first += skipped;
  part.tokens = whole.tokens - skipped < at_a_time ? whole.tokens - skipped : at_a_time;
  part.codes += skipped * given.turn.source.token;
  return part;
}

/// One group of tokens. Every thread finds the range of some columns.
__device__ inline void requantize_group(const cuda_tiles& launch, const shared_tile& tile, const token_range& group) {
  const quantized_turn& given = launch.given;
  const int count = static_cast<int>(given.count);
  for (int first_column = 0; first_column < count; first_column += blockDim.x) {
    const int column = first_column + threadIdx.x;
    element_range seen;
    for (int skipped = 0; skipped < group.tokens; skipped += launch.tokens_at_a_time) {
      const token_range part = part_of(group, given, skipped, launch.tokens_at_a_time);
      turn_into_tile(given, tile, part);
      __syncthreads();
      for (int token = 0; column < count && token < part.tokens; ++token) {
        if (given.holds(part.batch, part.head, part.first + token)) {
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
    turn_into_tile(given, tile, part);
    __syncthreads();
    write_codes(given, tile, part);
    __syncthreads();
  }
  for (int column = threadIdx.x; column < count; column += blockDim.x) {
    group.scales[column] = tile.scales[column];
    if (has_minimum(given.code)) {
      group.minimums[column] = tile.minimums[column];
    }
  }
}

/// A few tokens with scales of their own. Every warp finds the range of some groups.
__device__ inline void requantize_tokens(const cuda_tiles& launch, const shared_tile& tile, const token_range& range) {
  const quantized_turn& given = launch.given;
  const int groups = scales_in_row(given);
  const int size = static_cast<int>(given.group_size);
  const int lane = threadIdx.x % 32;
  turn_into_tile(given, tile, range);
  __syncthreads();
  for (int i = threadIdx.x / 32; i < range.tokens * groups; i += threads_per_tile / 32) {
    const float* const elements = tile.elements + i / groups * given.count + i % groups * size;
    element_range seen;
    for (int element = lane; element < size; element += 32) {
      seen.widen(elements[element]);
    }
    seen.join_warp();
    if (lane == 0) {
      tile.scales[i] = seen.scale(given.code);
      tile.minimums[i] = seen.minimum(given.code);
      const std::int64_t at = i / groups * given.scales.token + i % groups;
      range.scales[at] = tile.scales[i];
      if (has_minimum(given.code)) {
        range.minimums[at] = tile.minimums[i];
      }
    }
  }
  __syncthreads();
  write_codes(given, tile, range);
}

__global__ __launch_bounds__(threads_per_tile) void turn_quantized_kernel(const __grid_constant__ cuda_tiles launch) {
  extern __shared__ float memory[];
  const quantized_turn& given = launch.given;
  const turn_arguments& turn = given.turn;
  const shared_tile tile = tile_in(memory, launch);
  __syncthreads();
  const std::int64_t index = blockIdx.x % launch.tiles;
  const std::int64_t row = blockIdx.x / launch.tiles;
  token_range range;
  range.batch = row / turn.kv_heads;
  range.head = row % turn.kv_heads;
  range.first = index * launch.tokens_at_a_time;
  std::int64_t end = min(range.first + launch.tokens_at_a_time, turn.seq);
  if (given.is_per_channel()) {
    range.first = index == 0 ? 0 : given.group_ends[index - 1];
    end = given.group_ends[index];
  }
  range.tokens = static_cast<int>(end - range.first);
  range.codes =
      given.keys.codes + range.batch * turn.source.batch + range.head * turn.source.head + range.first * turn.source.token;
  const std::int64_t scales = range.batch * given.scales.batch + range.head * given.scales.head +
                              (given.is_per_channel() ? index : range.first) * given.scales.token;
  range.scales = given.keys.scales + scales;
  range.minimums = has_minimum(given.code) ? given.keys.minimums + scales : nullptr;
  given.is_per_channel() ? requantize_group(launch, tile, range) : requantize_tokens(launch, tile, range);
}

}  // namespace kvtransfer::rope::kernels
