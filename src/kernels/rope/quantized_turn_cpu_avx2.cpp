#if defined(__AVX2__)

#include "kernels/rope/lanes_avx2.hpp"
#include "kernels/rope/quantized_turn_cpu.hpp"

// Compiled for AVX2, FMA and F16C.

namespace kvtransfer::rope::kernels {

void turn_tiles_avx2(const quantized_turn& given, const quantized_keys& keys, const turn_order& order,
                     std::int64_t begin, std::int64_t end, const tile_memory& memory) {
  switch (given.code) {
    case code_type::int4:
      return turn_tiles<avx2_lanes, int4_codes>(given, keys, order, begin, end, memory);
    case code_type::int8:
      return turn_tiles<avx2_lanes, int8_codes>(given, keys, order, begin, end, memory);
    default:
      return turn_tiles_scalar(given, keys, order, begin, end, memory);
  }
}

}  // namespace kvtransfer::rope::kernels

#endif
