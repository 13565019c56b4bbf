#include "kernels/linear/nf4_rows.hpp"

// Compiled for any machine.

namespace kvtransfer::kernels {
namespace {
struct scalar;
}

constinit const nf4_cpu_variant nf4_scalar_variant{nf4_rows::multiply<scalar>, nf4_rows::dequantize<scalar>};

}  // namespace kvtransfer::kernels
