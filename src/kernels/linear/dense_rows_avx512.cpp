#if defined(__AVX512F__)

#include "kernels/linear/dense_rows.hpp"

// Compiled for AVX-512.

namespace kvtransfer::kernels {
namespace {
struct avx512 : vectors::instruction_set<16> {};
}  // namespace

constinit const dense_cpu_variant dense_avx512_variant{dense_rows::multiply<avx512, float>,
                                                       dense_rows::multiply<avx512, dense_rows::bfloat16_bits<avx512>>};

}  // namespace kvtransfer::kernels

#endif
