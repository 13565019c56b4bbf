#if defined(__AVX512F__)

#include "kernels/linear/nf4_rows.hpp"

// Compiled for AVX-512.

namespace kvtransfer::kernels {
namespace {
struct avx512;
}

constinit const nf4_cpu_variant nf4_avx512_variant{nf4_rows::multiply<avx512>, nf4_rows::dequantize<avx512>};

}  // namespace kvtransfer::kernels

#endif
