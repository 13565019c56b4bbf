#pragma once

#include <c10/util/Float8_e4m3fn.h>
#include <c10/util/Float8_e5m2.h>

#include <cstdint>

#include "kernels/rope/quantized_error.hpp"
#include "kernels/rope/quantized_rotation.hpp"

// Codes as numbers, and numbers in steps as codes, one element at a time; and what a group of numbers needs of its
// codes. Codes are as in code_vectors.hpp.

namespace kvtransfer::rope::kernels {

/// @param codes of one token
__device__ inline float number_at(const std::uint8_t* codes, int element, code_type code) {
  switch (code) {
    case code_type::int4:
      return static_cast<float>(codes[element / 2] >> (element % 2 * 4) & 15);
    case code_type::int8:
      return static_cast<float>(codes[element]);
    case code_type::float8_e4m3:
      return static_cast<float>(c10::Float8_e4m3fn(codes[element], c10::Float8_e4m3fn::from_bits()));
    default:
      return static_cast<float>(c10::Float8_e5m2(codes[element], c10::Float8_e5m2::from_bits()));
  }
}

/// fp8 saturates, as caches in fp8 do everywhere.
__device__ inline std::uint8_t code_of(float steps, code_type code) {
  if (has_minimum(code)) {
    return static_cast<std::uint8_t>(__float2int_rn(steps));
  }
  const float largest = largest_code(code);
  const float within = steps > largest ? largest : steps < -largest ? -largest : steps;
  return code == code_type::float8_e4m3 ? c10::Float8_e4m3fn(within).x : c10::Float8_e5m2(within).x;
}

/// The larger of two floats, or no number where either is none.
__device__ inline float larger_or_nan(float a, float b) {
#if __CUDA_ARCH__ >= 800
  float larger;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(larger) : "f"(a), "f"(b));
  return larger;
#else
  return isnan(a) || b <= a ? a : b;
#endif
}

/// What the elements of a group have shown so far. Once one was no number, `highest` is none.
struct element_range {
  float lowest = __builtin_huge_valf();
  float highest = -__builtin_huge_valf();

  __device__ void widen(float element) { join({element, element}); }
  __device__ void join(const element_range& other) {
    lowest = fminf(lowest, other.lowest);
    highest = larger_or_nan(highest, other.highest);
  }
  /// Joins the ranges of `lanes` neighbouring threads, a power of two; all threads of the warp must call it.
  __device__ void join_lanes(int lanes) {
    constexpr unsigned whole_warp = 0xffffffffu;
    for (int step = lanes / 2; step > 0; step /= 2) {
      join({__shfl_xor_sync(whole_warp, lowest, step), __shfl_xor_sync(whole_warp, highest, step)});
    }
  }
  /// Zero where nothing was seen.
  __device__ float scale(code_type code) const {
    const float reach = has_minimum(code) ? highest - lowest : -lowest > highest ? -lowest : highest;
    const float step = reach / largest_code(code);
    const float scale = reach > 0 && step < smallest_scale ? smallest_scale : step;
    return lowest > highest ? 0.0f : scale;
  }
  __device__ float minimum(code_type code) const { return has_minimum(code) && !(lowest > highest) ? lowest : 0.0f; }
};

/// What turns an element, less its group's minimum, into steps.
__device__ inline float steps_per_unit(float scale) { return scale == 0 ? 0.0f : 1 / scale; }

}  // namespace kvtransfer::rope::kernels
