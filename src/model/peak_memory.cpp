#include "model/peak_memory.hpp"

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/DeviceGuard.h>
#include <sys/resource.h>

namespace kvtransfer::detail {

std::int64_t peak_host_memory() {
  struct ::rusage used{};
  return ::getrusage(RUSAGE_SELF, &used) == 0 ? static_cast<std::int64_t>(used.ru_maxrss) * 1024 : 0;
}

std::optional<std::int64_t> peak_device_memory(c10::Device device) {
  if (device.is_cpu()) {
    return std::nullopt;
  }
  const c10::DeviceGuard guard(device);
  c10::DeviceAllocator* const allocator = c10::getDeviceAllocator(device.type());
  if (!allocator->initialized()) {
    return 0;
  }
  const c10::CachingDeviceAllocator::DeviceStats stats =
      allocator->getDeviceStats(guard.current_device().index());
  return stats.allocated_bytes.at(static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)).peak;
}

}  // namespace kvtransfer::detail
