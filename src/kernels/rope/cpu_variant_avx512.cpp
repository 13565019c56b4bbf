#if defined(__AVX512F__)

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC bug 105593, in its own avx512fintrin.h
#endif

#include "kernels/rope/cpu_variant.hpp"
#include "kernels/rope/lanes_avx512.hpp"
#include "kernels/rope/quantized_rotation_cpu.hpp"
#include "kernels/rope/rotation_cpu.hpp"

// Compiled for AVX-512 F, BW, VL and DQ, and all of cpu_variant_avx2.cpp.

namespace kvtransfer::rope::kernels {

constinit const cpu_variant avx512_variant{rotate_range<avx512_lanes>, rotate_tiles<avx512_lanes>};

}  // namespace kvtransfer::rope::kernels

#endif
