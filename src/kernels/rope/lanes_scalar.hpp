#pragma once

#include <c10/util/BFloat16.h>
#include <c10/util/Float8_e4m3fn.h>
#include <c10/util/Float8_e5m2.h>
#include <c10/util/Half.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "kernels/rope/elements.hpp"

namespace kvtransfer::rope::kernels {

/// One float at a time, on any machine and for every element type; the same functions as avx2_lanes.
struct scalar_lanes {
  using floats = float;
  using integers = std::uint32_t;
  static constexpr int count = 1;

  static float broadcast(float x) { return x; }
  /// Through double, which holds the product of two floats exactly: a machine without fused arithmetic calls a slow
  /// function.
  static float fma(float a, float b, float c) { return static_cast<float>(static_cast<double>(a) * b + c); }
  static float rint(float x) { return std::nearbyint(x); }
  static float product(float a, float b) { return static_cast<float>(static_cast<double>(a) * b); }

  static std::uint32_t nearest(float x) { return static_cast<std::uint32_t>(std::llrint(x)); }
  static float to_floats(std::uint32_t x) { return static_cast<float>(static_cast<std::int32_t>(x)); }

  static void turn_quarters(std::uint32_t angle, float& cosine, float& sine) {
    const std::uint32_t quarters = (angle + 0x20000000u) >> 30;
    const float rotated_cosine = (quarters & 1) != 0 ? sine : cosine;
    const float rotated_sine = (quarters & 1) != 0 ? cosine : sine;
    cosine = ((quarters + 1) & 2) != 0 ? -rotated_cosine : rotated_cosine;
    sine = (quarters & 2) != 0 ? -rotated_sine : rotated_sine;
  }

  static std::uint32_t broadcast(std::uint32_t x) { return x; }
  static std::uint32_t load(const std::uint32_t* from) { return *from; }
  static float load(const float* from) { return *from; }
  static float load(const bfloat16* from) { return std::bit_cast<c10::BFloat16>(*from); }
  static float load(const float16* from) { return std::bit_cast<c10::Half>(*from); }
  static float load(const float8_e4m3* from) { return std::bit_cast<c10::Float8_e4m3fn>(*from); }
  static float load(const float8_e5m2* from) { return std::bit_cast<c10::Float8_e5m2>(*from); }

  static void store(float* to, float x) { *to = x; }
  static void store(bfloat16* to, float x) { *to = std::bit_cast<bfloat16>(c10::BFloat16(x)); }
  static void store(float16* to, float x) { *to = std::bit_cast<float16>(c10::Half(x)); }
  // A turned pair may exceed the largest fp8 number; it saturates, as caches in fp8 do everywhere.
  static void store(float8_e4m3* to, float x) {
    *to = std::bit_cast<float8_e4m3>(c10::Float8_e4m3fn(std::clamp(x, -448.0f, 448.0f)));
  }
  static void store(float8_e5m2* to, float x) {
    *to = std::bit_cast<float8_e5m2>(c10::Float8_e5m2(std::clamp(x, -57344.0f, 57344.0f)));
  }

  template <class Element>
  static void load_pairs(const Element* from, float& x, float& y) {
    x = load(from);
    y = load(from + 1);
  }
  template <class Element>
  static void store_pairs(Element* to, float x, float y) {
    store(to, x);
    store(to + 1, y);
  }
};

}  // namespace kvtransfer::rope::kernels
