#pragma once

#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/Device.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>

namespace kvtransfer::bench {

/// Anonymous memory of this process, bytes: what it takes away from others. Pages of mapped files, which the kernel may
/// drop, are not among them.
inline std::int64_t anonymous_bytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  std::int64_t kilobytes = 0;
  while (status >> word && word != "RssAnon:") {
  }
  status >> kilobytes;
  return kilobytes * 1024;
}

/// The most memory in use between two moments: on a CPU anonymous memory above what there was at construction, looked
/// at every millisecond; on CUDA what the allocator has handed out, exactly.
class peak_memory {
 public:
  explicit peak_memory(c10::Device device)
      : device_(device), start_(anonymous_bytes()), watching_([this] { watch(); }) {}
  peak_memory(const peak_memory&) = delete;
  peak_memory& operator=(const peak_memory&) = delete;
  ~peak_memory() {
    done_ = true;
    watching_.join();
  }

  /// Bytes, of what has happened since the last call, or since construction.
  [[nodiscard]] std::int64_t take() {
    if (device_.is_cpu()) {
      note();
      return most_.exchange(0) - start_;
    }
    c10::DeviceAllocator& allocator = *at::getDeviceAllocator(device_.type());
    const std::int64_t peak =
        allocator.getDeviceStats(device_.index()).allocated_bytes[0].peak;  // 0: all pools together
    allocator.resetPeakStats(device_.index());
    return peak;
  }

 private:
  void note() { most_ = std::max(most_.load(), anonymous_bytes()); }
  void watch() {
    while (!done_) {
      note();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  c10::Device device_;
  std::int64_t start_;
  std::atomic<std::int64_t> most_{0};
  std::atomic<bool> done_{false};
  std::thread watching_;
};

}  // namespace kvtransfer::bench
