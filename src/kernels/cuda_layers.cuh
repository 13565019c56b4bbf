#pragma once

#include <cstdint>
#include <string_view>

namespace kvtransfer::kernels {

/// Layers that one launch takes: their addresses are its parameters.
inline constexpr std::int64_t layers_per_launch = 128;

/// So many blocks along a grid's first axis. @throws shape_error where CUDA has not that many
/// @param counted what there is a block for
unsigned grid_axis(std::int64_t blocks, std::string_view where, std::string_view what, std::string_view counted);

}  // namespace kvtransfer::kernels
