#if defined(__AVX2__)

#include "kernels/linear/dense_rows.hpp"

// Compiled for AVX2, FMA and F16C.

namespace kvtransfer::kernels {
namespace {
struct avx2 : vectors::instruction_set<8> {};
}  // namespace

constinit const dense_cpu_variant dense_avx2_variant{dense_rows::multiply<avx2, float>,
                                                     dense_rows::multiply<avx2, dense_rows::bfloat16_bits<avx2>>};

}  // namespace kvtransfer::kernels

#endif
