#pragma once

#include <cstdint>

#include "kernels/rope/rotation_arguments.hpp"

namespace kvtransfer::rope::kernels {

/// Rotates `count` layers on the device where they lie; on CUDA by kernels queued on the current stream.
using rotation_launch = void (*)(const rotation_arguments& arguments, const layer_keys* layers, std::int64_t count);

void rotate_on_cpu(const rotation_arguments& arguments, const layer_keys* layers, std::int64_t count);
void rotate_on_cuda(const rotation_arguments& arguments, const layer_keys* layers, std::int64_t count);

}  // namespace kvtransfer::rope::kernels
