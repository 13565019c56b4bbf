#pragma once

#include <cstdint>

#include "kernels/rope/rotation_arguments.hpp"

namespace kvtransfer::rope::kernels {

/// No step is smaller, unless a group is all one number: one over it is a number too.
inline constexpr float smallest_scale = 1.17549435e-38f;

enum class code_type : std::uint8_t { int4, int8, float8_e4m3, float8_e5m2 };

C10_ALWAYS_INLINE C10_HOST_DEVICE constexpr bool has_minimum(code_type code) {
  return code == code_type::int4 || code == code_type::int8;
}

/// A row of scales and what lies in rows beside it. An element is code * scale + minimum.
struct scale_row {
  float* scales = nullptr;
  float* minimums = nullptr;  ///< null for float codes
  float* errors = nullptr;    ///< how far moves have taken elements off so far; null: nobody asks
};

/// One layer: where the first rotated group of the first head lies.
struct quantized_keys {
  std::uint8_t* codes = nullptr;
  scale_row row;
};

/// All that a kernel must know to rotate codes where they lie, apart from the layers' addresses.
struct quantized_rotation {
  rotation_arguments rotation;  ///< `source` gives the strides of the codes, in bytes
  key_strides scales;  ///< and minimums; `token` is from one row to the next: a token's, or per channel a group's
  key_strides errors;
  const std::int64_t* group_ends = nullptr;  ///< per channel: one past each group's last token; null: per token
  std::int64_t groups = 0;                   ///< per channel
  const bool* valid = nullptr;               ///< false: the token is padding; null: there is none
  key_strides valid_strides;
  std::int64_t count = 0;       ///< elements of a head that get new codes
  std::int64_t group_size = 0;  ///< elements, per token; 1 per channel
  std::int64_t window = 0;      ///< the first rotated of them
  code_type code = code_type::int8;

  C10_ALWAYS_INLINE C10_HOST_DEVICE bool is_per_channel() const { return group_ends != nullptr; }
  C10_ALWAYS_INLINE C10_HOST_DEVICE bool is_valid(std::int64_t batch, std::int64_t head, std::int64_t token) const {
    return valid == nullptr ||
           valid[batch * valid_strides.batch + head * valid_strides.head + token * valid_strides.token];
  }

  /// The codes of a token.
  C10_ALWAYS_INLINE C10_HOST_DEVICE std::uint8_t* codes_at(const quantized_keys& keys, std::int64_t batch,
                                                           std::int64_t head, std::int64_t token) const {
    return keys.codes + batch * rotation.source.batch + head * rotation.source.head + token * rotation.source.token;
  }
  /// @param row a token, or per channel a group
  C10_ALWAYS_INLINE C10_HOST_DEVICE scale_row row_at(const quantized_keys& keys, std::int64_t batch, std::int64_t head,
                                                     std::int64_t row) const {
    const std::int64_t at = batch * scales.batch + head * scales.head + row * scales.token;
    const std::int64_t error = batch * errors.batch + head * errors.head + row * errors.token;
    return {keys.row.scales + at, keys.row.minimums == nullptr ? nullptr : keys.row.minimums + at,
            keys.row.errors == nullptr ? nullptr : keys.row.errors + error};
  }
  /// The row so many tokens further on, where every token has one.
  C10_ALWAYS_INLINE C10_HOST_DEVICE scale_row row_after(const scale_row& row, std::int64_t tokens) const {
    return {row.scales + tokens * scales.token,
            row.minimums == nullptr ? nullptr : row.minimums + tokens * scales.token,
            row.errors == nullptr ? nullptr : row.errors + tokens * errors.token};
  }
};

/// Rotates `count` layers on the device where they lie.
using quantized_rotation_launch = void (*)(const quantized_rotation& arguments, const quantized_keys* layers,
                                           std::int64_t count);

void rotate_quantized_keys_on_cpu(const quantized_rotation& arguments, const quantized_keys* layers,
                                  std::int64_t count);
void rotate_quantized_keys_on_cuda(const quantized_rotation& arguments, const quantized_keys* layers,
                                   std::int64_t count);

/// A tile is what one thread of a CPU dequantizes, rotates and quantizes at a time: the tokens of one head that share a
/// row of scales, or per token a few that share a table of angles.
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

}  // namespace kvtransfer::rope::kernels
