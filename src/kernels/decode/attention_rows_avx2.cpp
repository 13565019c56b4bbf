#if defined(__AVX2__)

#include "kernels/decode/attention_rows.hpp"

// Compiled for AVX2, FMA and F16C.

namespace kvtransfer::kernels {
namespace {
struct avx2 : vectors::instruction_set<8> {};
}  // namespace

constinit const attention_cpu_variant attention_avx2_variant{
    attention_rows::attend_row<avx2, float>, attention_rows::attend_row<avx2, attention_rows::bfloat16_bits<avx2>>};

}  // namespace kvtransfer::kernels

#endif
