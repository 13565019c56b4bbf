#if defined(__AVX2__)

#include "kernels/linear/nf4_rows.hpp"

// Compiled for AVX2, FMA and F16C.

namespace kvtransfer::kernels {
namespace {
struct avx2;
}

constinit const nf4_cpu_variant nf4_avx2_variant{nf4_rows::multiply<avx2>, nf4_rows::dequantize<avx2>};

}  // namespace kvtransfer::kernels

#endif
