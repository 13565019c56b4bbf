#pragma once

#include <cstdint>

#include "kernels/rope/elements.hpp"
#include "kernels/rope/turn_arguments.hpp"

namespace kvtransfer::rope::kernels {

/// Layers that one launch takes.
inline constexpr std::int64_t layers_per_launch = 128;

/// Turns up to `layers_per_launch` layers of one element type on the current CUDA stream.
/// @param word_bytes of the words that threads read and write: 16, 8 or one element
template <class Element>
void launch_turn(const turn_arguments& turn, const layer_keys* layers, std::int64_t count, std::int64_t word_bytes);

extern template void launch_turn<float>(const turn_arguments&, const layer_keys*, std::int64_t, std::int64_t);
extern template void launch_turn<bfloat16>(const turn_arguments&, const layer_keys*, std::int64_t, std::int64_t);
extern template void launch_turn<float16>(const turn_arguments&, const layer_keys*, std::int64_t, std::int64_t);
extern template void launch_turn<float8_e4m3>(const turn_arguments&, const layer_keys*, std::int64_t, std::int64_t);
extern template void launch_turn<float8_e5m2>(const turn_arguments&, const layer_keys*, std::int64_t, std::int64_t);

}  // namespace kvtransfer::rope::kernels
