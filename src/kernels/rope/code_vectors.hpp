#pragma once

#include <c10/macros/Macros.h>

#include <cstdint>

#include "kernels/rope/elements.hpp"
#include "kernels/rope/quantized_rotation.hpp"

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

/// fp8 elements about zero, which saturate.
template <class Lanes, class Element, int Largest>
struct float_codes {
  static constexpr bool has_minimum = false;
  static constexpr float largest = Largest;

  static void read(const std::uint8_t* from, float* to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      const Element code{from[i]};
      to[i] = Lanes::load(&code);
    }
  }
  static void write(const float* steps, std::uint8_t* to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      Element code;
      Lanes::store(&code, steps[i]);
      to[i] = code.bits;
    }
  }
};

/// Calls `visit` with what reads and writes codes of that type.
template <class Lanes, class Visit>
void with_codes(code_type code, Visit&& visit) {
  switch (code) {
    case code_type::int4:
      return visit(int4_codes());
    case code_type::int8:
      return visit(int8_codes());
    case code_type::float8_e4m3:
      return visit(float_codes<Lanes, float8_e4m3, 448>());
    case code_type::float8_e5m2:
      return visit(float_codes<Lanes, float8_e5m2, 57344>());
  }
}

}  // namespace
}  // namespace kvtransfer::rope::kernels
