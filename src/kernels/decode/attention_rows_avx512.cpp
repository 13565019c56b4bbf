#if defined(__AVX512F__)

#include "kernels/decode/attention_rows.hpp"

// Compiled for AVX-512.

namespace kvtransfer::kernels {
namespace {
struct avx512 : vectors::instruction_set<16> {};
}  // namespace

constinit const attention_cpu_variant attention_avx512_variant{
    attention_rows::attend_row<avx512, float>,
    attention_rows::attend_row<avx512, attention_rows::bfloat16_bits<avx512>>};

}  // namespace kvtransfer::kernels

#endif
