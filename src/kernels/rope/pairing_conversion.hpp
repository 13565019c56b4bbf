#pragma once

#include <cstdint>

#include "kernels/rope/rotation_arguments.hpp"

namespace kvtransfer::rope::kernels {

/// The order of a window's elements is changed: half-split (x0 x1 ... y0 y1 ...) to interleaved (x0 y0 x1 y1 ...) or
/// back.
struct pairing_conversion {
  std::int64_t batch = 0;
  std::int64_t kv_heads = 0;
  std::int64_t seq = 0;
  key_strides strides;
  std::int32_t pairs = 0;
  std::int32_t element_size = 0;  ///< bytes: 1, 2, 4 or 8
  bool to_interleaved = false;

  /// Where the element that belongs at `index` lies now.
  C10_ALWAYS_INLINE C10_HOST_DEVICE std::int32_t origin(std::int32_t index) const {
    return to_interleaved ? index / 2 + (index % 2) * pairs : (index % pairs) * 2 + index / pairs;
  }
};

using pairing_conversion_launch = void (*)(const pairing_conversion& conversion, void* const* layers,
                                           std::int64_t count);

void convert_pairing_on_cpu(const pairing_conversion& conversion, void* const* layers, std::int64_t count);
void convert_pairing_on_cuda(const pairing_conversion& conversion, void* const* layers, std::int64_t count);

}  // namespace kvtransfer::rope::kernels
