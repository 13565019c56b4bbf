#pragma once

#include <cstdint>

#include "kvtransfer/rope/specification.hpp"
#include "kvtransfer/tensor/quantized/quantization.hpp"

namespace kvtransfer::rope::detail {

/// What a rotation writes of a head: the rotary window, and per token the rest of each group that the window reaches into,
/// since a group has one scale. Everything else keeps its codes.
struct rotated_columns {
  std::int64_t first;         ///< element
  std::int64_t count;         ///< elements
  std::int64_t first_scale;   ///< along the last axis of `scales`
  std::int64_t scales_count;  ///< along the last axis of `scales`
};

inline rotated_columns columns_rotated_by(const rotary_specification& geometry, const quantization& scheme) {
  const std::int64_t begin = geometry.window_offset;
  const std::int64_t count = geometry.rotary_dim();
  if (scheme.is_per_channel()) {
    return {begin, count, begin, count};
  }
  const std::int64_t size = scheme.group_size;
  const std::int64_t first = begin / size;
  const std::int64_t groups = (begin + count + size - 1) / size - first;
  return {first * size, groups * size, first, groups};
}

}  // namespace kvtransfer::rope::detail
