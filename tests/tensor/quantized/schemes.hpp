#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "kvtransfer/tensor/quantized/quantization.hpp"

namespace kvtransfer::test {

inline constexpr code_format every_format[] = {code_format::int4, code_format::int8, code_format::float8_e4m3fn,
                                               code_format::float8_e5m2};

/// Every format on both axes, in groups of `group_size`.
inline std::vector<quantization> every_scheme(std::int64_t group_size) {
  std::vector<quantization> schemes;
  for (const code_format format : every_format) {
    schemes.push_back({format, quantization_axis::per_token, group_size});
    schemes.push_back({format, quantization_axis::per_channel, group_size});
  }
  return schemes;
}

}  // namespace kvtransfer::test
