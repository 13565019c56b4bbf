#pragma once

#include <cstdint>

#include "kernels/rope/turn_arguments.hpp"
#include "kernels/rope/turn_order.hpp"

namespace kvtransfer::rope::kernels {

/// Turns `count` layers on the device where they lie; on CUDA by kernels queued on the current stream.
using turn_launch = void (*)(const turn_arguments& arguments, const layer_keys* layers, std::int64_t count);

void turn_on_cpu(const turn_arguments& arguments, const layer_keys* layers, std::int64_t count);
void turn_on_cuda(const turn_arguments& arguments, const layer_keys* layers, std::int64_t count);

// The CPU kernel for the units [begin, end), compiled for one instruction set each.
void turn_range_scalar(const turn_arguments& arguments, const layer_keys* layers, const turn_order& order,
                       std::int64_t begin, std::int64_t end);
void turn_range_avx2(const turn_arguments& arguments, const layer_keys* layers, const turn_order& order,
                     std::int64_t begin, std::int64_t end);
void turn_range_avx512(const turn_arguments& arguments, const layer_keys* layers, const turn_order& order,
                       std::int64_t begin, std::int64_t end);

}  // namespace kvtransfer::rope::kernels
