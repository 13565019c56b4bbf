#pragma once

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace kvtransfer {

/// The device of that name: `auto` (CUDA where there is one), `cpu`, `cuda` or `cuda:1`. Each of several processes on a
/// host gets a GPU of its own, by its number.
/// @param local_rank of this process among those of its host, from 0 @param local_size how many those are
/// @throws value_error for another name, and for an index where there are several processes; device_error if there is
/// no such GPU
[[nodiscard]] at::Device choose_device(std::string_view name, std::int64_t local_rank = 0, std::int64_t local_size = 1);

/// float32 on CPU; on a GPU bfloat16 where its arithmetic is in hardware, else float16.
[[nodiscard]] at::ScalarType default_dtype(at::Device device);

/// The dtype of that name. @throws value_error for any but the three
[[nodiscard]] at::ScalarType parse_dtype(std::string_view name);

/// The inverse of `parse_dtype`.
[[nodiscard]] std::string name_of(at::ScalarType dtype);

}  // namespace kvtransfer
