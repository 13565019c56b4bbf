#pragma once

#include <c10/core/Device.h>

#include <cstdint>

namespace kvtransfer::detail {

/// Bytes that can still be allocated on a device: what the driver of a GPU has and what torch keeps there unused; on
/// the host what `free_on_host` finds.
[[nodiscard]] std::int64_t free_memory(c10::Device device);

}  // namespace kvtransfer::detail
