#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/rope/elements.hpp"
#include "kernels/rope/lanes_avx2.hpp"

namespace kvtransfer::rope::kernels {
namespace {  // for the reason given in lanes_avx2.hpp

/// Sixteen floats in a register of 512 bits; the same functions as avx2_lanes. Needs AVX-512 F, BW, VL and DQ.
struct avx512_lanes {
  using floats = __m512;
  using integers = __v16su;
  using narrower = avx2_lanes;
  static constexpr int count = 16;

  static floats broadcast(float x) { return _mm512_set1_ps(x); }
  static floats fma(floats a, floats b, floats c) { return _mm512_fmadd_ps(a, b, c); }
  static floats rint(floats x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static floats product(floats a, floats b) {
    floats result = a * b;
    asm("" : "+v"(result));  // a compiler may otherwise fuse this product with a later sum
    return result;
  }

  static integers nearest(floats x) { return reinterpret_cast<integers>(_mm512_cvtps_epi32(x)); }
  static floats to_floats(integers x) { return _mm512_cvtepi32_ps(reinterpret_cast<__m512i>(x)); }

  static void turn_quarters(integers angle, floats& cosine, floats& sine) {
    const __m512i quarters = reinterpret_cast<__m512i>(angle + 0x20000000u);
    const __m512i one_more = reinterpret_cast<__m512i>(angle + 0x60000000u);
    const __mmask16 odd = _mm512_test_epi32_mask(quarters, _mm512_set1_epi32(0x40000000));
    const floats rotated_cosine = _mm512_mask_blend_ps(odd, cosine, sine);
    const floats rotated_sine = _mm512_mask_blend_ps(odd, sine, cosine);
    cosine = with_sign_flipped(rotated_cosine, one_more);
    sine = with_sign_flipped(rotated_sine, quarters);
  }

  static integers broadcast(std::uint32_t x) {
    return reinterpret_cast<integers>(_mm512_set1_epi32(static_cast<int>(x)));
  }
  static integers load(const std::uint32_t* from) { return reinterpret_cast<integers>(_mm512_loadu_si512(from)); }
  static floats load(const float* from) { return _mm512_loadu_ps(from); }
  static floats load(const bfloat16* from) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_half_register(from)), 16));
  }
  static floats load(const float16* from) { return _mm512_cvtph_ps(load_half_register(from)); }

  static void store(float* to, floats x) { _mm512_storeu_ps(to, x); }
  static void store(bfloat16* to, floats x) {
    store_half_register(to, _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded_to_upper_half(x), 16)));
  }
  static void store(float16* to, floats x) { store_half_register(to, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT)); }

  static void load_pairs(const float* from, floats& x, floats& y) {
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    const floats low = _mm512_loadu_ps(from);
    const floats high = _mm512_loadu_ps(from + count);
    x = _mm512_permutex2var_ps(low, even, high);
    y = _mm512_permutex2var_ps(low, odd, high);
  }
  static void load_pairs(const bfloat16* from, floats& x, floats& y) {
    const __m512i pairs = _mm512_loadu_si512(from);
    x = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
    y = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000))));
  }
  static void load_pairs(const float16* from, floats& x, floats& y) {
    const __m512i pairs = _mm512_loadu_si512(from);
    x = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(pairs));
    y = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(pairs, 16)));
  }

  static void store_pairs(float* to, floats x, floats y) {
    const __m512i low = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    _mm512_storeu_ps(to, _mm512_permutex2var_ps(x, low, y));
    _mm512_storeu_ps(to + count, _mm512_permutex2var_ps(x, high, y));
  }
  static void store_pairs(bfloat16* to, floats x, floats y) {
    const __m512i even = _mm512_srli_epi32(rounded_to_upper_half(x), 16);
    _mm512_storeu_si512(to, _mm512_mask_blend_epi16(0xaaaaaaaa, even, rounded_to_upper_half(y)));
  }
  static void store_pairs(float16* to, floats x, floats y) {
    const __m512i even = _mm512_cvtepu16_epi32(_mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
    const __m512i odd = _mm512_cvtepu16_epi32(_mm512_cvtps_ph(y, _MM_FROUND_TO_NEAREST_INT));
    _mm512_storeu_si512(to, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
  }

 private:
  static __m256i load_half_register(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
  static void store_half_register(void* to, __m256i x) { _mm256_storeu_si256(static_cast<__m256i*>(to), x); }

  /// x, negated where the highest bit of `by` is set.
  static floats with_sign_flipped(floats x, __m512i by) {
    constexpr int first_xor_second_and_third = 0x78;
    const __m512i sign = _mm512_set1_epi32(static_cast<int>(0x80000000));
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(x), by, sign, first_xor_second_and_third));
  }

  /// As avx2_lanes::rounded_to_upper_half.
  static __m512i rounded_to_upper_half(floats x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i tie = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    return _mm512_add_epi32(bits, _mm512_add_epi32(tie, _mm512_set1_epi32(0x7fff)));
  }
};

}  // namespace
}  // namespace kvtransfer::rope::kernels
