#if defined(__AVX2__)

#include "kernels/rope/cpu_variant.hpp"
#include "kernels/rope/lanes_avx2.hpp"
#include "kernels/rope/quantized_rotation_cpu.hpp"
#include "kernels/rope/rotation_cpu.hpp"

// Compiled for AVX2, FMA and F16C.

namespace kvtransfer::rope::kernels {

constinit const cpu_variant avx2_variant{rotate_range<avx2_lanes>, rotate_tiles<avx2_lanes>};

}  // namespace kvtransfer::rope::kernels

#endif
