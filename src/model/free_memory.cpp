#include "model/free_memory.hpp"

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/DeviceGuard.h>

#include "model/host_memory.hpp"

namespace kvtransfer::detail {

std::int64_t free_memory(c10::Device device) {
  if (device.is_cpu()) {
    return free_on_host();
  }
  at::globalContext().lazyInitDevice(device.type());  // an allocator that nobody has used yet knows no device
  const c10::DeviceGuard guard(device);
  const c10::DeviceIndex index = guard.current_device().index();
  c10::DeviceAllocator* allocator = c10::getDeviceAllocator(device.type());
  const c10::CachingDeviceAllocator::DeviceStats stats = allocator->getDeviceStats(index);
  const auto all = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  const std::int64_t unused = stats.reserved_bytes.at(all).current - stats.allocated_bytes.at(all).current;
  return static_cast<std::int64_t>(allocator->getMemoryInfo(index).first) + unused;
}

}  // namespace kvtransfer::detail
