#include "kernels/linear/dense_rows.hpp"

// Compiled for any machine.

namespace kvtransfer::kernels {
namespace {
struct scalar : vectors::instruction_set<4> {};
}  // namespace

constinit const dense_cpu_variant dense_scalar_variant{dense_rows::multiply<scalar, float>,
                                                       dense_rows::multiply<scalar, dense_rows::bfloat16_bits<scalar>>};

}  // namespace kvtransfer::kernels
