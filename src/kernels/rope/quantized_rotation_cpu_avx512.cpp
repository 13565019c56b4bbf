#if defined(__AVX512F__)

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC bug 105593, in its own avx512fintrin.h
#endif

#include "kernels/rope/lanes_avx512.hpp"
#include "kernels/rope/quantized_rotation_cpu.hpp"

// Compiled for AVX-512 F, BW, VL and DQ, and all of quantized_rotation_cpu_avx2.cpp.

namespace kvtransfer::rope::kernels {

void rotate_tiles_avx512(const quantized_rotation& given, const quantized_keys& keys, const rotation_order& order,
                         std::int64_t begin, std::int64_t end, const tile_memory& memory) {
  switch (given.code) {
    case code_type::int4:
      return rotate_tiles<avx512_lanes, int4_codes>(given, keys, order, begin, end, memory);
    case code_type::int8:
      return rotate_tiles<avx512_lanes, int8_codes>(given, keys, order, begin, end, memory);
    default:
      return rotate_tiles_scalar(given, keys, order, begin, end, memory);
  }
}

}  // namespace kvtransfer::rope::kernels

#endif
