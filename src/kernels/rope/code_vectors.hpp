#pragma once

#include <c10/macros/Macros.h>

#include <cstdint>

// How codes are read as floats and written from floats that are in steps already. Loops that a compiler turns into
// vectors. Internal linkage, as in rotation_cpu.hpp.

namespace kvtransfer::rope::kernels {
namespace {

/// The nearest integer to a float of at most 2^22, ties to even, in the low bits: a sum of this size has no fraction.
/// What is no number gives some code.
C10_ALWAYS_INLINE std::uint32_t nearest_code(float steps) {
  constexpr float without_fraction = 12582912.0f;  // 1.5 * 2^23
  return __builtin_bit_cast(std::uint32_t, steps + without_fraction);
}

struct int8_codes {
  static constexpr bool has_minimum = true;
  static constexpr float largest = 255;

  static void read(const std::uint8_t* from, float* __restrict to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      to[i] = static_cast<float>(from[i]);
    }
  }
  static void write(const float* __restrict steps, std::uint8_t* to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      to[i] = static_cast<std::uint8_t>(nearest_code(steps[i]));
    }
  }
};

struct int4_codes {
  static constexpr bool has_minimum = true;
  static constexpr float largest = 15;

  static void read(const std::uint8_t* from, float* __restrict to, std::int64_t count) {
    for (std::int64_t i = 0; i < count / 2; ++i) {
      to[2 * i] = static_cast<float>(from[i] & 15);
      to[2 * i + 1] = static_cast<float>(from[i] >> 4);
    }
  }
  static void write(const float* __restrict steps, std::uint8_t* to, std::int64_t count) {
    for (std::int64_t i = 0; i < count / 2; ++i) {
      to[i] = static_cast<std::uint8_t>((nearest_code(steps[2 * i]) & 15) | (nearest_code(steps[2 * i + 1]) & 15) << 4);
    }
  }
};

}  // namespace
}  // namespace kvtransfer::rope::kernels
