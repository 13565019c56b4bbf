#pragma once

#include <cstdint>

#include "kernels/rope/rotation_arguments.hpp"
#include "kernels/rope/rotation_order.hpp"

namespace kvtransfer::rope::kernels {

/// Rotates `count` layers on the device where they lie; on CUDA by kernels queued on the current stream.
using rotation_launch = void (*)(const rotation_arguments& arguments, const layer_keys* layers, std::int64_t count);

void rotate_on_cpu(const rotation_arguments& arguments, const layer_keys* layers, std::int64_t count);
void rotate_on_cuda(const rotation_arguments& arguments, const layer_keys* layers, std::int64_t count);

// The CPU kernel for the units [begin, end), compiled for one instruction set each.
void rotate_range_scalar(const rotation_arguments& arguments, const layer_keys* layers, const rotation_order& order,
                         std::int64_t begin, std::int64_t end);
void rotate_range_avx2(const rotation_arguments& arguments, const layer_keys* layers, const rotation_order& order,
                       std::int64_t begin, std::int64_t end);
void rotate_range_avx512(const rotation_arguments& arguments, const layer_keys* layers, const rotation_order& order,
                         std::int64_t begin, std::int64_t end);

}  // namespace kvtransfer::rope::kernels
