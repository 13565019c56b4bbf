#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <optional>

namespace kvtransfer::detail {

/// The largest resident set that this process has had, in bytes: mapped files count by the pages that were read.
[[nodiscard]] std::int64_t peak_host_memory();

/// The most that torch has had allocated on a device at a time, in bytes; nothing for the host.
[[nodiscard]] std::optional<std::int64_t> peak_device_memory(c10::Device device);

}  // namespace kvtransfer::detail
