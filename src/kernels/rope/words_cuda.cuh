#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>

#include <cstdint>
#include <cstring>

#include "kernels/rope/elements.hpp"

// How elements travel: a thread reads and writes whole words (16 or 8 bytes, or a single element where nothing larger
// is aligned), always as one integer type. A structure of packed pairs compiles to narrow loads, at less than half the
// speed.

namespace kvtransfer::rope::kernels {

template <class Word, class Element>
inline constexpr int elements_in = sizeof(Word) / sizeof(Element);

// 32 bits of neighbouring elements become floats and elements again. fp8 saturates, as caches in fp8 do everywhere.

__device__ inline void unpack(std::uint32_t bits, float* to, float) { to[0] = __uint_as_float(bits); }

__device__ inline void unpack(std::uint32_t bits, float* to, bfloat16) {
  to[0] = __uint_as_float(bits << 16);
  to[1] = __uint_as_float(bits & 0xffff0000u);
}

__device__ inline void unpack(std::uint32_t bits, float* to, float16) {
  __half2 pair;
  std::memcpy(&pair, &bits, sizeof(pair));
  to[0] = __low2float(pair);
  to[1] = __high2float(pair);
}

__device__ inline void unpack_fp8(std::uint32_t bits, float* to, __nv_fp8_interpretation_t kind) {
  for (int i = 0; i < 2; ++i) {
    const auto two = static_cast<__nv_fp8x2_storage_t>(bits >> (16 * i));
    const __half2 pair(__nv_cvt_fp8x2_to_halfraw2(two, kind));
    to[2 * i] = __low2float(pair);
    to[2 * i + 1] = __high2float(pair);
  }
}
__device__ inline void unpack(std::uint32_t bits, float* to, float8_e4m3) { unpack_fp8(bits, to, __NV_E4M3); }
__device__ inline void unpack(std::uint32_t bits, float* to, float8_e5m2) { unpack_fp8(bits, to, __NV_E5M2); }

__device__ inline std::uint32_t pack(const float* from, float) { return __float_as_uint(from[0]); }

__device__ inline std::uint32_t pack(const float* from, bfloat16) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(from[0], from[1]);
  std::uint32_t bits;
  std::memcpy(&bits, &pair, sizeof(bits));
  return bits;
}

__device__ inline std::uint32_t pack(const float* from, float16) {
  const __half2 pair = __floats2half2_rn(from[0], from[1]);
  std::uint32_t bits;
  std::memcpy(&bits, &pair, sizeof(bits));
  return bits;
}

__device__ inline std::uint32_t pack_fp8(const float* from, __nv_fp8_interpretation_t kind) {
  const std::uint32_t low = __nv_cvt_float2_to_fp8x2(make_float2(from[0], from[1]), __NV_SATFINITE, kind);
  const std::uint32_t high = __nv_cvt_float2_to_fp8x2(make_float2(from[2], from[3]), __NV_SATFINITE, kind);
  return low | high << 16;
}
__device__ inline std::uint32_t pack(const float* from, float8_e4m3) { return pack_fp8(from, __NV_E4M3); }
__device__ inline std::uint32_t pack(const float* from, float8_e5m2) { return pack_fp8(from, __NV_E5M2); }

/// A word as floats, and back. A word shorter than 32 bits is one element in the low bits of 32.
template <class Element, class Word>
__device__ inline void unpack_word(const Word& word, float (&to)[elements_in<Word, Element>]) {
  constexpr int per_lane = 4 / sizeof(Element);
  std::uint32_t lanes[(sizeof(Word) + 3) / 4] = {};
  std::memcpy(lanes, &word, sizeof(Word));
  if constexpr (elements_in<Word, Element> == 1) {
    float floats[per_lane];
    unpack(lanes[0], floats, Element{});
    to[0] = floats[0];
  } else {
#pragma unroll
    for (int i = 0; i < static_cast<int>(sizeof(Word) / 4); ++i) {
      unpack(lanes[i], to + i * per_lane, Element{});
    }
  }
}

template <class Element, class Word>
__device__ inline Word pack_word(const float (&from)[elements_in<Word, Element>]) {
  constexpr int per_lane = 4 / sizeof(Element);
  std::uint32_t lanes[(sizeof(Word) + 3) / 4];
  if constexpr (elements_in<Word, Element> == 1) {
    float floats[per_lane] = {from[0]};
    lanes[0] = pack(floats, Element{});
  } else {
#pragma unroll
    for (int i = 0; i < static_cast<int>(sizeof(Word) / 4); ++i) {
      lanes[i] = pack(from + i * per_lane, Element{});
    }
  }
  Word word;
  std::memcpy(&word, lanes, sizeof(Word));
  return word;
}

}  // namespace kvtransfer::rope::kernels
