#pragma once

#include <c10/util/Float8_e4m3fn.h>
#include <c10/util/Float8_e5m2.h>

#include <cstdint>

#include "kvtransfer/rope/kernels/quantized_turn.hpp"

// Codes as numbers, and numbers in steps as codes, one element at a time. Codes are as in code_vectors.hpp.

namespace kvtransfer::rope::kernels {

__device__ inline bool has_minimum(code_type code) { return code == code_type::int4 || code == code_type::int8; }

__device__ inline float largest_code(code_type code) {
  switch (code) {
    case code_type::int4:
      return 15;
    case code_type::int8:
      return 255;
    case code_type::float8_e4m3:
      return 448;
    default:
      return 57344;
  }
}

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

}  // namespace kvtransfer::rope::kernels
