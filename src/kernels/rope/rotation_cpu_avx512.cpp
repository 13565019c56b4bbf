#if defined(__AVX512F__)

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC bug 105593, in its own avx512fintrin.h
#endif

#include "kernels/rope/lanes_avx512.hpp"
#include "kernels/rope/rotation_cpu.hpp"
#include "kernels/rope/rotation_launch.hpp"

// Compiled for AVX-512 F, BW, VL and DQ, and all of rotation_cpu_avx2.cpp.

namespace kvtransfer::rope::kernels {

void rotate_range_avx512(const rotation_arguments& arguments, const layer_keys* layers, const rotation_order& order,
                         std::int64_t begin, std::int64_t end) {
  switch (arguments.element) {
    case element_type::float32:
      return rotate_range<avx512_lanes, float>(arguments, layers, order, begin, end);
    case element_type::bfloat16:
      return rotate_range<avx512_lanes, bfloat16>(arguments, layers, order, begin, end);
    case element_type::float16:
      return rotate_range<avx512_lanes, float16>(arguments, layers, order, begin, end);
    default:
      return rotate_range_scalar(arguments, layers, order, begin, end);
  }
}

}  // namespace kvtransfer::rope::kernels

#endif
