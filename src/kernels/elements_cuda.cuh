#pragma once

#include <ATen/core/Tensor.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "kvtransfer/core/error.hpp"

// What kernels on a GPU do with elements of a model: read them in words of 16 bytes, compute in fp32, round once.

namespace kvtransfer::kernels {

constexpr int lanes = 32;  // of a warp
constexpr int a_word = 8;  // elements that a lane reads at once

__device__ inline float widened(float value) { return value; }
__device__ inline float widened(__nv_bfloat16 value) { return __bfloat162float(value); }
__device__ inline float widened(__half value) { return __half2float(value); }

__device__ inline void write(float* place, float value) { *place = value; }
__device__ inline void write(__nv_bfloat16* place, float value) { *place = __float2bfloat16_rn(value); }
__device__ inline void write(__half* place, float value) { *place = __float2half_rn(value); }

/// The nearest number that an `Element` holds.
template <class Element>
__device__ float rounded_to(float value) {
  Element rounded;
  write(&rounded, value);
  return widened(rounded);
}

/// Eight neighbours out of the words of 16 bytes that hold them.
template <class Element>
__device__ void unpack_eight(const uint4* words, float (&values)[8]);

template <>
__device__ inline void unpack_eight<__nv_bfloat16>(const uint4* words, float (&values)[8]) {
  const unsigned int pairs[4] = {words->x, words->y, words->z, words->w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    values[2 * i] = __uint_as_float(pairs[i] << 16);
    values[2 * i + 1] = __uint_as_float(pairs[i] & 0xffff0000U);
  }
}

template <>
__device__ inline void unpack_eight<__half>(const uint4* words, float (&values)[8]) {
  const unsigned int pairs[4] = {words->x, words->y, words->z, words->w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 pair = __half22float2(*reinterpret_cast<const __half2*>(&pairs[i]));
    values[2 * i] = pair.x;
    values[2 * i + 1] = pair.y;
  }
}

template <>
__device__ inline void unpack_eight<float>(const uint4* words, float (&values)[8]) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    values[4 * i] = __uint_as_float(words[i].x);
    values[4 * i + 1] = __uint_as_float(words[i].y);
    values[4 * i + 2] = __uint_as_float(words[i].z);
    values[4 * i + 3] = __uint_as_float(words[i].w);
  }
}

/// Eight neighbours from an address that 16 divides. An ordinary read: the kernel before may have written them while
/// this one began.
template <class Element>
__device__ void read_eight(const Element* from, float (&values)[8]) {
  constexpr int count = sizeof(Element) * 8 / sizeof(uint4);
  uint4 words[count];
#pragma unroll
  for (int i = 0; i < count; ++i) {
    words[i] = reinterpret_cast<const uint4*>(from)[i];
  }
  unpack_eight<Element>(words, values);
}

/// Eight neighbours to an address that 16 divides.
__device__ inline void write_eight(float* to, const float (&values)[8]) {
  *reinterpret_cast<float4*>(to) = make_float4(values[0], values[1], values[2], values[3]);
  *(reinterpret_cast<float4*>(to) + 1) = make_float4(values[4], values[5], values[6], values[7]);
}

__device__ inline void write_eight(__nv_bfloat16* to, const float (&values)[8]) {
  alignas(16) __nv_bfloat162 pairs[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    pairs[i] = __floats2bfloat162_rn(values[2 * i], values[2 * i + 1]);
  }
  *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(pairs);
}

__device__ inline void write_eight(__half* to, const float (&values)[8]) {
  alignas(16) __half2 pairs[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    pairs[i] = __floats2half2_rn(values[2 * i], values[2 * i + 1]);
  }
  *reinterpret_cast<uint4*>(to) = *reinterpret_cast<const uint4*>(pairs);
}

/// Whether 16 divides a tensor's address.
inline bool is_aligned(const at::Tensor& tensor) {
  return reinterpret_cast<std::uintptr_t>(tensor.const_data_ptr()) % 16 == 0;
}

/// Calls `visit` with an element of that type as CUDA names it. @throws value_error for one that no kernel computes
/// with
template <class Visit>
auto with_cuda_element(at::ScalarType dtype, std::string_view where, Visit&& visit) {
  switch (dtype) {
    case at::kFloat:
      return visit(float{});
    case at::kBFloat16:
      return visit(__nv_bfloat16{});
    case at::kHalf:
      return visit(__half{});
    default:
      fail<value_error>(where, "dtype", "float, bfloat16 or half", std::string(at::toString(dtype)));
  }
}

template <class Element>
const Element* elements_of(const at::Tensor& tensor) {
  return static_cast<const Element*>(tensor.const_data_ptr());
}

template <class Element>
Element* elements_to(const at::Tensor& tensor) {
  return static_cast<Element*>(tensor.mutable_data_ptr());
}

}  // namespace kvtransfer::kernels
