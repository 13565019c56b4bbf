#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <string_view>

#include "kernels/cuda_layers.cuh"
#include "kvtransfer/core/error.hpp"

namespace kvtransfer::kernels {

unsigned grid_axis(std::int64_t blocks, std::string_view where, std::string_view what, std::string_view counted) {
  require<shape_error>(blocks <= std::numeric_limits<std::int32_t>::max(), where, what,
                       fmt::format("fewer than 2^31 {} of a layer on CUDA", counted), fmt::format("{}", blocks));
  return static_cast<unsigned>(blocks);
}

}  // namespace kvtransfer::kernels
