#if defined(__AVX2__)

#include "kernels/rope/lanes_avx2.hpp"
#include "kernels/rope/quantized_rotation_cpu.hpp"

// Compiled for AVX2, FMA and F16C.

namespace kvtransfer::rope::kernels {

void rotate_tiles_avx2(const quantized_rotation& given, const quantized_keys& keys, const rotation_order& order,
                       std::int64_t begin, std::int64_t end, const tile_memory& memory) {
  switch (given.code) {
    case code_type::int4:
      return rotate_tiles<avx2_lanes, int4_codes>(given, keys, order, begin, end, memory);
    case code_type::int8:
      return rotate_tiles<avx2_lanes, int8_codes>(given, keys, order, begin, end, memory);
    default:
      return rotate_tiles_scalar(given, keys, order, begin, end, memory);
  }
}

}  // namespace kvtransfer::rope::kernels

#endif
