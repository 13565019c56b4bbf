#pragma once

#include <cstdint>

#include "kvtransfer/rope/kernels/turn_arguments.hpp"
#include "kvtransfer/rope/kernels/turn_order.hpp"

namespace kvtransfer::rope::kernels {

/// No step is smaller, unless a group is all one number: one over it is a number too.
inline constexpr float smallest_scale = 1.17549435e-38f;

enum class code_type : std::uint8_t { int4, int8, float8_e4m3, float8_e5m2 };

/// Where the first rotated group of the first head lies. An element is code * scale + minimum.
struct quantized_keys {
  std::uint8_t* codes = nullptr;  ///< of element `first`
  float* scales = nullptr;
  float* minimums = nullptr;  ///< null for float codes; strides of the scales
};

/// All that a kernel must know to turn the codes of one layer where they lie.
struct quantized_turn {
  turn_arguments turn;  ///< `source` gives the strides of the codes, in bytes
  quantized_keys keys;
  key_strides scales;  ///< `token` is from one row of scales to the next: a token's, or per channel a group's
  const std::int64_t* group_ends = nullptr;  ///< per channel: one past each group's last token; null: per token
  std::int64_t groups = 0;                   ///< per channel
  const bool* held = nullptr;                ///< false: the token is padding; null: there is none
  key_strides held_strides;
  std::int64_t count = 0;       ///< elements of a head that get new codes
  std::int64_t group_size = 0;  ///< elements, per token
  std::int64_t window = 0;      ///< the first rotated of them
  code_type code = code_type::int8;

  C10_ALWAYS_INLINE C10_HOST_DEVICE bool is_per_channel() const { return group_ends != nullptr; }
  C10_ALWAYS_INLINE C10_HOST_DEVICE bool holds(std::int64_t batch, std::int64_t head, std::int64_t token) const {
    return held == nullptr || held[batch * held_strides.batch + head * held_strides.head + token * held_strides.token];
  }
};

/// Turns one layer on the device where it lies.
using quantized_turn_launch = void (*)(const quantized_turn& arguments);

void turn_quantized_on_cpu(const quantized_turn& arguments);
void turn_quantized_on_cuda(const quantized_turn& arguments);

/// A tile is what one thread of a CPU dequantizes, turns and quantizes at a time: the tokens of one head that share a row of
/// scales, or per token a few that share a table of angles.
inline constexpr std::int64_t tokens_per_tile = 32;

/// Room for one thread's tile, floats each.
struct tile_memory {
  float* elements;  ///< [longest tile, count]
  float* cosines;   ///< [longest tile, padded pairs]
  float* sines;
  float* lowest;  ///< [count]
  float* highest;
  float* spoiled;  ///< not zero where an element was not finite
};

// The CPU kernel for the tiles [begin, end), compiled for one instruction set each. Tiles are numbered as turn_order numbers its
// units, with one row to each.
void turn_tiles_scalar(const quantized_turn& arguments, const turn_order& order, std::int64_t begin, std::int64_t end,
                       const tile_memory& memory);
void turn_tiles_avx2(const quantized_turn& arguments, const turn_order& order, std::int64_t begin, std::int64_t end,
                     const tile_memory& memory);
void turn_tiles_avx512(const quantized_turn& arguments, const turn_order& order, std::int64_t begin, std::int64_t end,
                       const tile_memory& memory);

}  // namespace kvtransfer::rope::kernels
