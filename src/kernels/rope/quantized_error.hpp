#pragma once

#include <c10/macros/Macros.h>
#include <math.h>

#include <cstdint>

#include "kernels/rope/quantized_rotation.hpp"

// What a rotation does to the bound of its elements' errors: the formulas of error_bound.hpp and rotated_error.hpp, for
// a row of scales that is about to be replaced. Internal linkage, as in rotation_cpu.hpp.

namespace kvtransfer::rope::kernels {
namespace {

C10_ALWAYS_INLINE C10_HOST_DEVICE float largest_code(code_type code) {
  return code == code_type::int4          ? 15.0F
         : code == code_type::int8        ? 255.0F
         : code == code_type::float8_e4m3 ? 448.0F
                                          : 57344.0F;
}

/// How far, in units of the scale, an element at most lies from its code.
C10_ALWAYS_INLINE C10_HOST_DEVICE float half_step(code_type code) {
  return code == code_type::float8_e4m3 ? 16 : code == code_type::float8_e5m2 ? 4096 : 0.5f;
}

/// What a group says about each of its elements.
struct group_error {
  float bound;      ///< how far it may be from what was quantized first
  float magnitude;  ///< how large it may be
};

C10_ALWAYS_INLINE C10_HOST_DEVICE group_error error_of(float scale, float minimum, float carried, code_type code) {
  constexpr float eight_roundings = 4.76837158e-7f;  // 2^-21
  const float magnitude = scale * largest_code(code) + ::fabsf(minimum);
  return {scale * half_step(code) + magnitude * eight_roundings + carried, magnitude};
}

/// √(a² + b²), neither too large for a float on the way nor too small.
C10_ALWAYS_INLINE C10_HOST_DEVICE float pair_length(float a, float b) {
  return static_cast<float>(::sqrt(static_cast<double>(a) * a + static_cast<double>(b) * b));
}

/// The error that either element of a pair carries once the pair has rotated.
C10_ALWAYS_INLINE C10_HOST_DEVICE float rotated_error(const group_error& a, const group_error& b, float gain) {
  constexpr float rounding = 9.53674316e-7f;  // 2^-20 of the length: cosine and sine to 5e-7, products and sum
  return (pair_length(a.bound, b.bound) + pair_length(a.magnitude, b.magnitude) * rounding) * gain;
}

C10_ALWAYS_INLINE C10_HOST_DEVICE group_error error_at(const quantized_rotation& given, const scale_row& row,
                                                       std::int64_t group) {
  return error_of(row.scales[group], row.minimums == nullptr ? 0 : row.minimums[group], row.errors[group], given.code);
}

/// Per channel: the groups of a pair's two elements.
struct pair_groups {
  std::int64_t first;
  std::int64_t second;

  C10_ALWAYS_INLINE C10_HOST_DEVICE pair_groups(const rotation_arguments& rotation, std::int64_t pair)
      : first(rotation.interleaved ? 2 * pair : pair),
        second(rotation.interleaved ? first + 1 : first + rotation.pairs) {}
};

C10_ALWAYS_INLINE C10_HOST_DEVICE void rotate_error_of_pair(const quantized_rotation& given, const scale_row& row,
                                                            std::int64_t pair) {
  const pair_groups groups(given.rotation, pair);
  const float error =
      rotated_error(error_at(given, row, groups.first), error_at(given, row, groups.second), given.rotation.gain);
  row.errors[groups.first] = error;
  row.errors[groups.second] = error;
}

/// Per token: an element's partner may be in any group, and the worst of them stands for it. Elements beside the rotary
/// window are not multiplied by the gain, so it counts where it is above one.
C10_ALWAYS_INLINE C10_HOST_DEVICE void rotate_errors_of_token(const quantized_rotation& given, const scale_row& row) {
  const std::int64_t groups = given.count / given.group_size;
  group_error worst{0, 0};
  for (std::int64_t i = 0; i < groups; ++i) {
    const group_error error = error_at(given, row, i);
    worst.bound = error.bound > worst.bound ? error.bound : worst.bound;
    worst.magnitude = error.magnitude > worst.magnitude ? error.magnitude : worst.magnitude;
  }
  const float gain = given.rotation.gain > 1 ? given.rotation.gain : 1;
  for (std::int64_t i = 0; i < groups; ++i) {
    row.errors[i] = rotated_error(error_at(given, row, i), worst, gain);
  }
}

}  // namespace
}  // namespace kvtransfer::rope::kernels
