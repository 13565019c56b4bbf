#include "kernels/rope/cpu_variant.hpp"
#include "kernels/rope/lanes_scalar.hpp"
#include "kernels/rope/quantized_rotation_cpu.hpp"
#include "kernels/rope/rotation_cpu.hpp"

// Compiled for any machine; also takes fp8, which no CPU converts quickly.

namespace kvtransfer::rope::kernels {

constinit const cpu_variant scalar_variant{rotate_range<scalar_lanes>, rotate_tiles<scalar_lanes>};

}  // namespace kvtransfer::rope::kernels
