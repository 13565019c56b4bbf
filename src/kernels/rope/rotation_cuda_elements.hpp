#pragma once

#include <cstdint>

#include "kernels/rope/elements.hpp"
#include "kernels/rope/rotation_arguments.hpp"

namespace kvtransfer::rope::kernels {

/// Rotates up to `layers_per_launch` layers of one element type on the current CUDA stream.
/// @param word_bytes of the words that threads read and write: 16, 8 or one element
template <class Element>
void launch_rotation(const rotation_arguments& rotation, const layer_keys* layers, std::int64_t count,
                     std::int64_t word_bytes);

extern template void launch_rotation<float>(const rotation_arguments&, const layer_keys*, std::int64_t, std::int64_t);
extern template void launch_rotation<bfloat16>(const rotation_arguments&, const layer_keys*, std::int64_t,
                                               std::int64_t);
extern template void launch_rotation<float16>(const rotation_arguments&, const layer_keys*, std::int64_t, std::int64_t);
extern template void launch_rotation<float8_e4m3>(const rotation_arguments&, const layer_keys*, std::int64_t,
                                                  std::int64_t);
extern template void launch_rotation<float8_e5m2>(const rotation_arguments&, const layer_keys*, std::int64_t,
                                                  std::int64_t);

}  // namespace kvtransfer::rope::kernels
