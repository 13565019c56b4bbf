#pragma once

#include <cstdint>
#include <cstring>

// Sixteen floats at a time, for kernels that are compiled once for each instruction set: the compiler makes one, two or
// four registers of them. `Variant` keeps what one compilation makes apart from the others' copies. Vectors are passed
// by reference: how they are returned depends on the instruction set.

namespace kvtransfer::kernels::vectors {

constexpr std::int64_t lanes = 16;
using floats = float __attribute__((vector_size(4 * lanes)));
using words = std::uint32_t __attribute__((vector_size(4 * lanes)));
using halves = std::uint16_t __attribute__((vector_size(2 * lanes)));

/// A bfloat16 as it lies in memory.
template <class Variant>
struct bfloat16_bits {
  std::uint16_t bits;
};

template <class Variant>
inline void read(const float* from, floats& values) {
  std::memcpy(&values, from, sizeof values);
}

template <class Variant>
inline void read(const bfloat16_bits<Variant>* from, floats& values) {
  halves bits;
  std::memcpy(&bits, from, sizeof bits);
  const words wide = __builtin_convertvector(bits, words) << 16;
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
inline float sum_of(const floats& parts) {
  using eight = float __attribute__((vector_size(32)));
  using four = float __attribute__((vector_size(16)));
  eight both[2];
  std::memcpy(both, &parts, sizeof both);
  both[0] += both[1];
  four quarters[2];
  std::memcpy(quarters, both, sizeof quarters);
  quarters[0] += quarters[1];
  return (quarters[0][0] + quarters[0][2]) + (quarters[0][1] + quarters[0][3]);
}

}  // namespace kvtransfer::kernels::vectors
