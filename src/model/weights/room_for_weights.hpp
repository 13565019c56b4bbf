#pragma once

#include <c10/core/Device.h>

#include <cstdint>

namespace kvtransfer::detail {

/// Looks whether weights fit before the first of them is loaded, which may take minutes.
/// @param bytes that they take on the device at least @throws out_of_memory_error with bytes needed and free
void require_room_for_weights(std::int64_t bytes, c10::Device device);

}  // namespace kvtransfer::detail
