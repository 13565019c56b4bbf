#include "kernels/rope/turn_cuda_launch.cuh"

namespace kvtransfer::rope::kernels {

template void launch_turn<float16>(const turn_arguments&, const layer_keys*, std::int64_t, std::int64_t);

}  // namespace kvtransfer::rope::kernels
