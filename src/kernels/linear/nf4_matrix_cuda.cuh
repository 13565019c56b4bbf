#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <fmt/format.h>

#include <cstdint>

#include "kernels/linear/nf4_linear.hpp"
#include "kernels/linear/nf4_values.hpp"
#include "kvtransfer/core/error.hpp"

// A matrix of NF4 codes on a GPU: what one product and several at once have in common.

namespace kvtransfer::kernels {

__constant__ const float nf4_values[16] = {KVT_NF4_VALUES};

/// As PyTorch leaves a number in the dtype of the matrix.
template <nf4_rounding Rounding>
__device__ float rounded(float value) {
  if constexpr (Rounding == nf4_rounding::bfloat16) {
    return __bfloat162float(__float2bfloat16_rn(value));
  } else if constexpr (Rounding == nf4_rounding::float16) {
    return __half2float(__float2half_rn(value));
  } else {
    return value;
  }
}

/// Both of a pair, which takes one conversion.
template <nf4_rounding Rounding>
__device__ void round_pair(float& first, float& second) {
  if constexpr (Rounding == nf4_rounding::bfloat16) {
    const __nv_bfloat162 pair = __floats2bfloat162_rn(first, second);
    const unsigned int bits = *reinterpret_cast<const unsigned int*>(&pair);
    first = __uint_as_float(bits << 16);
    second = __uint_as_float(bits & 0xffff0000U);
  } else if constexpr (Rounding == nf4_rounding::float16) {
    const float2 pair = __half22float2(__floats2half2_rn(first, second));
    first = pair.x;
    second = pair.y;
  }
}

/// The matrix lowered for a GPU, which reads four bytes of codes at once.
inline nf4_codes lower_aligned(const nf4_tensors& matrix, nf4_rounding rounding, const char* where) {
  const nf4_codes codes = lower(matrix, rounding, where);
  require<value_error>(reinterpret_cast<std::uintptr_t>(codes.codes) % 4 == 0, where, "codes",
                       "an address divisible by 4", "another");
  return codes;
}

/// @throws shape_error, device_error where bias is not [out] in x's dtype beside it
inline void check_bias(const optional_tensor& bias, const at::Tensor& x, std::int64_t out) {
  if (bias) {
    require<shape_error>(bias->numel() == out && bias->is_contiguous() && bias->scalar_type() == x.scalar_type() &&
                             bias->device() == x.device(),
                         "nf4_linear", "bias", fmt::format("[{}] in the dtype and on the device of x", out),
                         fmt::format("{} elements of {}", bias->numel(), at::toString(bias->scalar_type())));
  }
}

}  // namespace kvtransfer::kernels
