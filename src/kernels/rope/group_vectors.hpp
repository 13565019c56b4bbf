#pragma once

#include <c10/macros/Macros.h>

#include <cstdint>

#include "kernels/rope/quantized_rotation.hpp"

// Ranges of groups, and elements from codes to floats and to steps. Loops that a compiler turns into vectors. Internal
// linkage, as in rotation_cpu.hpp.

namespace kvtransfer::rope::kernels {
namespace {

constexpr float above_all = __builtin_huge_valf();

/// What the elements of a group have shown so far.
struct group_range {
  float lowest = above_all;
  float highest = -above_all;
  float spoiled = 0;  ///< NaN once an element was not finite
};

/// A group's scale and minimum, and what turns an element into steps.
struct group_scale {
  float scale;
  float minimum;
  float steps_per_unit;
};

template <class Codes>
C10_ALWAYS_INLINE group_scale scale_of(const group_range& range) {
  if (range.lowest > range.highest) {
    return {range.spoiled, 0, 0};  // nothing but padding, or but NaN
  }
  const float reach = Codes::has_minimum              ? range.highest - range.lowest
                      : -range.lowest > range.highest ? -range.lowest
                                                      : range.highest;
  const float step = reach / Codes::largest;
  const float scale = (reach > 0 && step < smallest_scale ? smallest_scale : step) + range.spoiled;
  return {scale, Codes::has_minimum ? range.lowest : 0, scale == 0 ? 0 : 1 / scale};
}

/// The range of one group whose elements lie side by side.
inline group_range range_of(const float* elements, std::int64_t count) {
  constexpr std::int64_t abreast = 16;
  float lowest[abreast], highest[abreast], spoiled[abreast];
  for (std::int64_t j = 0; j < abreast; ++j) {
    lowest[j] = above_all;
    highest[j] = -above_all;
    spoiled[j] = 0;
  }
  std::int64_t i = 0;
  for (; i + abreast <= count; i += abreast) {
    for (std::int64_t j = 0; j < abreast; ++j) {
      lowest[j] = elements[i + j] < lowest[j] ? elements[i + j] : lowest[j];
      highest[j] = elements[i + j] > highest[j] ? elements[i + j] : highest[j];
      spoiled[j] += elements[i + j] * 0.0f;
    }
  }
  for (; i < count; ++i) {
    lowest[0] = elements[i] < lowest[0] ? elements[i] : lowest[0];
    highest[0] = elements[i] > highest[0] ? elements[i] : highest[0];
    spoiled[0] += elements[i] * 0.0f;
  }
  group_range range;
  for (std::int64_t j = 0; j < abreast; ++j) {
    range.lowest = lowest[j] < range.lowest ? lowest[j] : range.lowest;
    range.highest = highest[j] > range.highest ? highest[j] : range.highest;
    range.spoiled += spoiled[j];
  }
  return range;
}

/// The ranges of `Columns` neighbouring columns, which stay in registers from the first token to the last.
/// @param elements of the first token, which the others follow every `stride`
/// @param is_valid(token) false for padding
template <std::int64_t Columns, class Valid>
void ranges_of_columns(const float* elements, std::int64_t tokens, std::int64_t stride, Valid&& is_valid,
                       const tile_memory& memory, std::int64_t column) {
  float lowest[Columns], highest[Columns], spoiled[Columns];
  for (std::int64_t j = 0; j < Columns; ++j) {
    lowest[j] = above_all;
    highest[j] = -above_all;
    spoiled[j] = 0;
  }
  for (std::int64_t t = 0; t < tokens; ++t) {
    const float* const token = elements + t * stride + column;
    for (std::int64_t j = 0; is_valid(t) && j < Columns; ++j) {
      lowest[j] = token[j] < lowest[j] ? token[j] : lowest[j];
      highest[j] = token[j] > highest[j] ? token[j] : highest[j];
      spoiled[j] += token[j] * 0.0f;
    }
  }
  for (std::int64_t j = 0; j < Columns; ++j) {
    memory.lowest[column + j] = lowest[j];
    memory.highest[column + j] = highest[j];
    memory.spoiled[column + j] = spoiled[j];
  }
}

inline void scale_group(float* elements, float scale, float minimum, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    elements[i] = elements[i] * scale + minimum;
  }
}

inline void steps_of_group(float* elements, const group_scale& group, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    elements[i] = (elements[i] - group.minimum) * group.steps_per_unit;
  }
}

inline void scale_columns(float* __restrict elements, const float* __restrict scales, const float* __restrict minimums,
                          std::int64_t count) {
  for (std::int64_t i = 0; minimums != nullptr && i < count; ++i) {
    elements[i] = elements[i] * scales[i] + minimums[i];
  }
  for (std::int64_t i = 0; minimums == nullptr && i < count; ++i) {
    elements[i] *= scales[i];
  }
}

inline void steps_of_columns(float* __restrict elements, const float* __restrict minimums,
                             const float* __restrict steps_per_unit, std::int64_t count) {
  for (std::int64_t i = 0; i < count; ++i) {
    elements[i] = (elements[i] - minimums[i]) * steps_per_unit[i];
  }
}

}  // namespace
}  // namespace kvtransfer::rope::kernels
