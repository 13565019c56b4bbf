#pragma once

#include <cstdint>

namespace kvtransfer::rope::kernels {

/// What one CUDA thread computes at a time: a single float; the functions that angles.hpp asks for.
struct cuda_lanes {
  using floats = float;
  using integers = std::uint32_t;

  __device__ static float broadcast(float x) { return x; }
  __device__ static float product(float a, float b) { return __fmul_rn(a, b); }
  __device__ static float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
  __device__ static float rint(float x) { return rintf(x); }
  __device__ static std::uint32_t nearest(float x) { return static_cast<std::uint32_t>(__float2int_rn(x)); }
  __device__ static float to_floats(std::uint32_t x) { return __int2float_rn(static_cast<std::int32_t>(x)); }

  /// Turns the unit vector (cosine, sine) by the quarter turns nearest to `angle`.
  __device__ static void turn_quarters(std::uint32_t angle, float& cosine, float& sine) {
    constexpr std::uint32_t sign = 0x80000000u;
    const std::uint32_t quarters = angle + 0x20000000u;  // their number is in the upper two bits
    const std::uint32_t one_more = angle + 0x60000000u;
    const bool odd = (quarters & 0x40000000u) != 0;
    const float rotated_cosine = odd ? sine : cosine;
    const float rotated_sine = odd ? cosine : sine;
    cosine = __uint_as_float(__float_as_uint(rotated_cosine) ^ (one_more & sign));
    sine = __uint_as_float(__float_as_uint(rotated_sine) ^ (quarters & sign));
  }
};

/// Cosine and sine of an angle in turns, at most one from zero, by the hardware's own, to 5e-7: enough for elements of
/// 16 bits or fewer, and a third of the work.
__device__ inline void quick_cosine_and_sine(float turns, float& cosine, float& sine) {
  constexpr float radians_per_turn = 6.28318531f;
  cosine = __cosf(turns * radians_per_turn);
  sine = __sinf(turns * radians_per_turn);
}

}  // namespace kvtransfer::rope::kernels
