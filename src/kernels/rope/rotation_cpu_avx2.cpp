#if defined(__AVX2__)

#include "kernels/rope/lanes_avx2.hpp"
#include "kernels/rope/rotation_cpu.hpp"
#include "kernels/rope/rotation_launch.hpp"

// Compiled for AVX2, FMA and F16C.

namespace kvtransfer::rope::kernels {

void rotate_range_avx2(const rotation_arguments& arguments, const layer_keys* layers, const rotation_order& order,
                       std::int64_t begin, std::int64_t end) {
  switch (arguments.element) {
    case element_type::float32:
      return rotate_range<avx2_lanes, float>(arguments, layers, order, begin, end);
    case element_type::bfloat16:
      return rotate_range<avx2_lanes, bfloat16>(arguments, layers, order, begin, end);
    case element_type::float16:
      return rotate_range<avx2_lanes, float16>(arguments, layers, order, begin, end);
    default:
      return rotate_range_scalar(arguments, layers, order, begin, end);
  }
}

}  // namespace kvtransfer::rope::kernels

#endif
