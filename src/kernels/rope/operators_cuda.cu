#include <torch/library.h>

#include "kernels/cuda_layers.cuh"
#include "kernels/rope/operators.hpp"

// The operators of operators.cpp on CUDA. This file exists where nvcc does; otherwise torch says that there is no such
// kernel.

TORCH_LIBRARY_IMPL(kvtransfer, CUDA, library) {
  using namespace kvtransfer::rope::kernels;
  using kvtransfer::kernels::guarded;
  library.impl("rotate_keys_", guarded<operator_function<&rotate_keys_<rotate_on_cuda>>>);
  library.impl("rotate_keys", guarded<operator_function<&rotate_keys<rotate_on_cuda>>>);
  library.impl("rotate_blocks_", guarded<operator_function<&rotate_blocks_<rotate_on_cuda>>>);
  library.impl("convert_pairing_", guarded<&convert_pairing_<convert_pairing_on_cuda>>);
}
