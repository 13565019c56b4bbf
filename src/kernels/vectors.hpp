#pragma once

#include <cstdint>
#include <cstring>
#if defined(__AVX2__)
#include <immintrin.h>
#endif

// As many floats at a time as a register of an instruction set holds, for kernels that are compiled once for each:
// GCC keeps wider ones in memory. `Variant` says how many, and keeps what one compilation makes apart from the others'
// copies. Vectors are passed by reference: how they are returned depends on the instruction set.

namespace kvtransfer::kernels::vectors {

/// An instruction set whose registers hold `Lanes` floats. Each variant derives one of its own.
template <int Lanes>
struct instruction_set {
  static constexpr std::int64_t lanes = Lanes;
  // GCC 12 takes no vector's size from a template in an alias.
  typedef float floats __attribute__((vector_size(4 * Lanes)));
  typedef std::uint32_t words __attribute__((vector_size(4 * Lanes)));
  typedef std::uint16_t halves __attribute__((vector_size(2 * Lanes)));
};

template <class Variant>
using floats = typename Variant::floats;

/// A bfloat16 as it lies in memory.
template <class Variant>
struct bfloat16_bits {
  std::uint16_t bits;
};

template <class Variant>
inline void read(const float* from, floats<Variant>& values) {
  std::memcpy(&values, from, sizeof values);
}

/// Each of sixteen bits, zeros above.
template <class Variant>
inline void widen(const typename Variant::halves& bits, typename Variant::words& wide) {
  using words = typename Variant::words;
#if defined(__AVX2__)
  if constexpr (Variant::lanes == 8) {  // GCC 12 makes four instructions of this conversion
    wide = reinterpret_cast<words>(_mm256_cvtepu16_epi32(reinterpret_cast<__m128i>(bits)));
    return;
  }
#endif
  wide = __builtin_convertvector(bits, words);
}

template <class Variant>
inline void read(const bfloat16_bits<Variant>* from, floats<Variant>& values) {
  typename Variant::halves bits;
  std::memcpy(&bits, from, sizeof bits);
  typename Variant::words wide;
  widen<Variant>(bits, wide);
  wide <<= 16;
  std::memcpy(&values, &wide, sizeof values);
}

template <class Variant>
inline float read_one(const float* from) {
  return *from;
}

template <class Variant>
inline float read_one(const bfloat16_bits<Variant>* from) {
  const std::uint32_t wide = static_cast<std::uint32_t>(from->bits) << 16;
  float value;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

template <class Variant>
inline float sum_of(const floats<Variant>& parts) {
  using four = float __attribute__((vector_size(16)));
  four quarters[Variant::lanes / 4];
  std::memcpy(quarters, &parts, sizeof quarters);
  for (std::int64_t half = Variant::lanes / 8; half > 0; half /= 2) {
    for (std::int64_t i = 0; i < half; ++i) {
      quarters[i] += quarters[i + half];
    }
  }
  return (quarters[0][0] + quarters[0][2]) + (quarters[0][1] + quarters[0][3]);
}

}  // namespace kvtransfer::kernels::vectors
