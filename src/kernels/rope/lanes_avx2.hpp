#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/rope/elements.hpp"

// Included only by files compiled for AVX2 or more. The unnamed namespace keeps each file's copy to itself: one shared
// copy could be the one compiled for the larger instruction set, and stop a smaller machine.

namespace kvtransfer::rope::kernels {
namespace {

/// Eight floats in a register of 256 bits, and how keys of each type become floats and keys again.
struct avx2_lanes {
  using floats = __m256;
  using integers = __v8su;  // the compilers' own name: unsigned, and + and * work on its eight elements
  static constexpr int count = 8;

  static floats broadcast(float x) { return _mm256_set1_ps(x); }
  static floats fma(floats a, floats b, floats c) { return _mm256_fmadd_ps(a, b, c); }
  static floats rint(floats x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static floats product(floats a, floats b) {
    floats result = a * b;
    asm("" : "+x"(result));  // a compiler may otherwise fuse this product with a later sum
    return result;
  }

  static integers nearest(floats x) { return reinterpret_cast<integers>(_mm256_cvtps_epi32(x)); }
  static floats to_floats(integers x) { return _mm256_cvtepi32_ps(reinterpret_cast<__m256i>(x)); }

  /// Turns the unit vector (cosine, sine) by the quarter turns nearest to `angle`.
  static void turn_quarters(integers angle, floats& cosine, floats& sine) {
    const floats quarters = reinterpret_cast<floats>(angle + 0x20000000u);  // their number is in the upper two bits
    const floats one_more = reinterpret_cast<floats>(angle + 0x60000000u);
    const floats odd = reinterpret_cast<floats>(reinterpret_cast<integers>(quarters) << 1);
    const floats sign = _mm256_set1_ps(-0.0f);
    const floats rotated_cosine = _mm256_blendv_ps(cosine, sine, odd);
    const floats rotated_sine = _mm256_blendv_ps(sine, cosine, odd);
    cosine = _mm256_xor_ps(rotated_cosine, _mm256_and_ps(one_more, sign));
    sine = _mm256_xor_ps(rotated_sine, _mm256_and_ps(quarters, sign));
  }

  static integers broadcast(std::uint32_t x) {
    return reinterpret_cast<integers>(_mm256_set1_epi32(static_cast<int>(x)));
  }
  static integers load(const std::uint32_t* from) { return reinterpret_cast<integers>(load_register(from)); }
  static floats load(const float* from) { return _mm256_loadu_ps(from); }
  static floats load(const bfloat16* from) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(load_half_register(from)), 16));
  }
  static floats load(const float16* from) { return _mm256_cvtph_ps(load_half_register(from)); }

  static void store(float* to, floats x) { _mm256_storeu_ps(to, x); }
  static void store(bfloat16* to, floats x) {
    const __m256i upper = _mm256_srli_epi32(rounded_to_upper_half(x), 16);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(upper, upper), 0b1000);
    store_half_register(to, _mm256_castsi256_si128(packed));
  }
  static void store(float16* to, floats x) { store_half_register(to, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT)); }

  /// Reads eight neighbouring pairs (x0, y0, x1, y1, ...) as eight x and eight y.
  static void load_pairs(const float* from, floats& x, floats& y) {
    const floats low = _mm256_loadu_ps(from);
    const floats high = _mm256_loadu_ps(from + count);
    const floats left = _mm256_permute2f128_ps(low, high, 0x20);
    const floats right = _mm256_permute2f128_ps(low, high, 0x31);
    x = _mm256_shuffle_ps(left, right, 0b10001000);
    y = _mm256_shuffle_ps(left, right, 0b11011101);
  }
  static void load_pairs(const bfloat16* from, floats& x, floats& y) {
    const __m256i pairs = load_register(from);
    x = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
    y = _mm256_castsi256_ps(_mm256_and_si256(pairs, _mm256_set1_epi32(static_cast<int>(0xffff0000))));
  }
  static void load_pairs(const float16* from, floats& x, floats& y) {
    const __m256i pairs = load_register(from);
    const __m256i even = _mm256_and_si256(pairs, _mm256_set1_epi32(0xffff));
    const __m256i odd = _mm256_srli_epi32(pairs, 16);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(even, odd), 0b11011000);
    x = _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
    y = _mm256_cvtph_ps(_mm256_extracti128_si256(packed, 1));
  }

  static void store_pairs(float* to, floats x, floats y) {
    const floats low = _mm256_unpacklo_ps(x, y);
    const floats high = _mm256_unpackhi_ps(x, y);
    _mm256_storeu_ps(to, _mm256_permute2f128_ps(low, high, 0x20));
    _mm256_storeu_ps(to + count, _mm256_permute2f128_ps(low, high, 0x31));
  }
  static void store_pairs(bfloat16* to, floats x, floats y) {
    const __m256i even = _mm256_srli_epi32(rounded_to_upper_half(x), 16);
    store_register(to, _mm256_blend_epi16(even, rounded_to_upper_half(y), 0b10101010));
  }
  static void store_pairs(float16* to, floats x, floats y) {
    const __m256i even = _mm256_cvtepu16_epi32(_mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
    const __m256i odd = _mm256_cvtepu16_epi32(_mm256_cvtps_ph(y, _MM_FROUND_TO_NEAREST_INT));
    store_register(to, _mm256_or_si256(even, _mm256_slli_epi32(odd, 16)));
  }

 private:
  static __m128i load_half_register(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }
  static void store_half_register(void* to, __m128i x) { _mm_storeu_si128(static_cast<__m128i*>(to), x); }
  static __m256i load_register(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
  static void store_register(void* to, __m256i x) { _mm256_storeu_si256(static_cast<__m256i*>(to), x); }

  /// Rounds to the nearest bfloat16, ties to even, which is then the upper half of each float. A NaN stays one, because
  /// a key's own NaN has a lower half of zeros and arithmetic makes no other.
  static __m256i rounded_to_upper_half(floats x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i tie = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    return _mm256_add_epi32(bits, _mm256_add_epi32(tie, _mm256_set1_epi32(0x7fff)));
  }
};

}  // namespace
}  // namespace kvtransfer::rope::kernels
