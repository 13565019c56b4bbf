#include "kernels/decode/attention_rows.hpp"

// Compiled for any machine.

namespace kvtransfer::kernels {
namespace {
struct scalar : vectors::instruction_set<4> {};
}  // namespace

constinit const attention_cpu_variant attention_scalar_variant{
    attention_rows::attend_row<scalar, float>,
    attention_rows::attend_row<scalar, attention_rows::bfloat16_bits<scalar>>};

}  // namespace kvtransfer::kernels
