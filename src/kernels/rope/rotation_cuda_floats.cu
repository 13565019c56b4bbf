#include "kernels/rope/rotation_cuda_launch.cuh"

namespace kvtransfer::rope::kernels {

template void launch_rotation<float>(const rotation_arguments&, const layer_keys*, std::int64_t, std::int64_t);
template void launch_rotation<float16>(const rotation_arguments&, const layer_keys*, std::int64_t, std::int64_t);
template void launch_rotation<bfloat16>(const rotation_arguments&, const layer_keys*, std::int64_t, std::int64_t);

}  // namespace kvtransfer::rope::kernels
