#include "kernels/rope/turn_cuda_launch.cuh"

namespace kvtransfer::rope::kernels {

template void launch_turn<float8_e4m3>(const turn_arguments&, const layer_keys*, std::int64_t, std::int64_t);
template void launch_turn<float8_e5m2>(const turn_arguments&, const layer_keys*, std::int64_t, std::int64_t);

}  // namespace kvtransfer::rope::kernels
