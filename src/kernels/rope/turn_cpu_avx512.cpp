#if defined(__AVX512F__)

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC bug 105593, in its own avx512fintrin.h
#endif

#include "kernels/rope/lanes_avx512.hpp"
#include "kernels/rope/turn_cpu.hpp"
#include "kernels/rope/turn_launch.hpp"

// Compiled for AVX-512 F, BW, VL and DQ, and all of turn_cpu_avx2.cpp.

namespace kvtransfer::rope::kernels {

void turn_range_avx512(const turn_arguments& arguments, const layer_keys* layers, const turn_order& order,
                       std::int64_t begin, std::int64_t end) {
  switch (arguments.element) {
    case element_type::float32:
      return turn_range<avx512_lanes, float>(arguments, layers, order, begin, end);
    case element_type::bfloat16:
      return turn_range<avx512_lanes, bfloat16>(arguments, layers, order, begin, end);
    case element_type::float16:
      return turn_range<avx512_lanes, float16>(arguments, layers, order, begin, end);
    default:
      return turn_range_scalar(arguments, layers, order, begin, end);
  }
}

}  // namespace kvtransfer::rope::kernels

#endif
