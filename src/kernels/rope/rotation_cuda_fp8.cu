#include "kernels/rope/rotation_cuda_launch.cuh"

namespace kvtransfer::rope::kernels {

template void launch_rotation<float8_e4m3>(const rotation_arguments&, const layer_keys*, std::int64_t, std::int64_t);
template void launch_rotation<float8_e5m2>(const rotation_arguments&, const layer_keys*, std::int64_t, std::int64_t);

}  // namespace kvtransfer::rope::kernels
