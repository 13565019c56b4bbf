#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <bit>
#include <cstdint>

#include "kernels/cuda_layers.cuh"
#include "kernels/rope/quantized_groups_cuda.cuh"
#include "kernels/rope/quantized_rotation.hpp"
#include "kernels/rope/quantized_rotation_cuda.cuh"
#include "kernels/rope/quantized_tokens_cuda.cuh"
#include "kvtransfer/core/error.hpp"

// Which kernel rotates which keys.

namespace kvtransfer::rope::kernels {
namespace {

/// The grid for so many blocks to each of some layers. @throws shape_error where there are too many
dim3 grid_of(std::int64_t blocks, std::int64_t layers) {
  return {kvtransfer::kernels::grid_axis(blocks, "rotate_quantized_keys_", "codes", "groups"),
          static_cast<unsigned>(layers)};
}

/// As many tokens as fit what every GPU gives a block unasked, at most 16.
int tokens_at_a_time(const quantized_rotation& given) {
  constexpr int floats_of_a_block = 48 * 1024 / 4;
  int tokens = 16;
  while (tokens > 0 && shared_floats(given, tokens) > floats_of_a_block) {
    --tokens;
  }
  require<shape_error>(tokens != 0, "rotate_quantized_keys_", "codes", "heads that fit 48 KB as floats on CUDA",
                       formatted("{} elements", given.count));
  return tokens;
}

void launch_any(const quantized_rotation& given, const quantized_keys* layers, std::int64_t count) {
  cuda_tiles launch{given, given.groups, tokens_at_a_time(given), {}};
  std::copy_n(layers, count, launch.layers);
  if (!given.is_per_channel()) {
    launch.tiles = (given.rotation.seq + launch.tokens_at_a_time - 1) / launch.tokens_at_a_time;
  }
  const dim3 grid = grid_of(given.rotation.batch * given.rotation.kv_heads * launch.tiles, count);
  const std::size_t bytes = sizeof(float) * static_cast<std::size_t>(shared_floats(given, launch.tokens_at_a_time));
  rotate_quantized_keys_kernel<<<grid, threads_per_tile, bytes, c10::cuda::getCurrentCUDAStream()>>>(launch);
}

/// Whether all of a head rotates, in words of four codes that lie aligned.
bool lies_in_words(const quantized_rotation& given, const quantized_keys* layers, std::int64_t count) {
  const rotation_arguments& rotation = given.rotation;
  const std::int64_t word = given.code == code_type::int4 ? 2 : 4;
  std::int64_t bytes = rotation.source.batch | rotation.source.head | rotation.source.token;
  for (std::int64_t i = 0; i < count; ++i) {
    bytes |= reinterpret_cast<std::intptr_t>(layers[i].codes);
  }
  return given.count == 2 * rotation.pairs && rotation.pairs % codes_in_word == 0 && bytes % word == 0;
}

/// Whether a thread can read its scales by fours.
bool has_aligned_rows(const quantized_rotation& given, const quantized_keys* layers, std::int64_t count) {
  std::int64_t floats = 0;
  for (const key_strides& strides : {given.scales, given.errors}) {
    floats |= strides.batch | strides.head | strides.token;
  }
  std::int64_t bytes = floats * static_cast<std::int64_t>(sizeof(float));
  for (std::int64_t i = 0; i < count; ++i) {
    const scale_row& row = layers[i].row;
    bytes |= reinterpret_cast<std::intptr_t>(row.scales) | reinterpret_cast<std::intptr_t>(row.minimums) |
             reinterpret_cast<std::intptr_t>(row.errors);
  }
  return bytes % static_cast<std::int64_t>(sizeof(float4)) == 0;
}

/// Whether the lanes of a token, and those of each of its groups, are a power of two within a warp.
bool fits_warps(const quantized_rotation& given) {
  const auto pairs = static_cast<std::uint64_t>(given.rotation.pairs);
  const auto size = static_cast<std::uint64_t>(given.group_size);
  return std::has_single_bit(pairs) && pairs <= 32 * codes_in_word && std::has_single_bit(size) &&
         size >= codes_in_word;
}

template <class Codes, bool Shared>
void launch_words(const quantized_rotation& given, const quantized_keys* layers, std::int64_t count) {
  cuda_words launch{given, {}};
  std::copy_n(layers, count, launch.layers);
  const unsigned lanes = static_cast<unsigned>(given.rotation.pairs) / codes_in_word;
  const dim3 block(lanes, threads_per_words_block / lanes);
  const std::int64_t heads = given.rotation.batch * given.rotation.kv_heads;
  const c10::cuda::CUDAStream stream = c10::cuda::getCurrentCUDAStream();
  const auto table = static_cast<std::size_t>(frequency_table::floats(given.rotation.pairs));
  if (given.is_per_channel()) {
    const std::size_t ranges = 2 * block.y * 2 * static_cast<std::size_t>(given.rotation.pairs);
    rotate_groups_kernel<Codes, Shared>
        <<<grid_of(heads * given.groups, count), block, sizeof(float) * (table + ranges), stream>>>(launch);
  } else {
    const std::int64_t tokens = static_cast<std::int64_t>(block.y) * tokens_in_registers;
    const std::int64_t tiles = (given.rotation.seq + tokens - 1) / tokens;
    rotate_tokens_kernel<Codes, Shared>
        <<<grid_of(heads * tiles, count), block, sizeof(float) * table, stream>>>(launch);
  }
}

template <class Codes>
void launch_by_rule(const quantized_rotation& given, const quantized_keys* layers, std::int64_t count) {
  given.rotation.rule == angle_rule::shared ? launch_words<Codes, true>(given, layers, count)
                                            : launch_words<Codes, false>(given, layers, count);
}

void launch_by_codes(const quantized_rotation& given, const quantized_keys* layers, std::int64_t count) {
  switch (given.code) {
    case code_type::int4:
      return launch_by_rule<int4_word>(given, layers, count);
    case code_type::int8:
      return launch_by_rule<int8_word>(given, layers, count);
    case code_type::float8_e4m3:
      return launch_by_rule<fp8_word<float8_e4m3, code_type::float8_e4m3>>(given, layers, count);
    case code_type::float8_e5m2:
      return launch_by_rule<fp8_word<float8_e5m2, code_type::float8_e5m2>>(given, layers, count);
  }
}

}  // namespace

void rotate_quantized_keys_on_cuda(const quantized_rotation& given, const quantized_keys* layers, std::int64_t count) {
  using kvtransfer::kernels::layers_per_launch;
  for (std::int64_t first = 0; first < count; first += layers_per_launch) {
    const std::int64_t listed = std::min(count - first, layers_per_launch);
    const bool aligned = given.is_per_channel() ? has_aligned_rows(given, layers + first, listed) : fits_warps(given);
    if (aligned && lies_in_words(given, layers + first, listed)) {
      launch_by_codes(given, layers + first, listed);
    } else {
      launch_any(given, layers + first, listed);
    }
    C10_CUDA_KERNEL_LAUNCH_CHECK();
  }
}

}  // namespace kvtransfer::rope::kernels
