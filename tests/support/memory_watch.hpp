#pragma once

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace kvtransfer::test {

/// The most bytes of tensors that were held at a time since it was made, beyond those held before.
class memory_watch {
 public:
  memory_watch() : report_(std::make_shared<report>()), guard_(c10::DebugInfoKind::PROFILER_STATE, report_) {}
  [[nodiscard]] std::int64_t peak() const { return report_->peak; }
  [[nodiscard]] std::int64_t held() const { return report_->held; }

 private:
  struct report : c10::MemoryReportingInfoBase {
    void reportMemoryUsage(void*, std::int64_t bytes, std::size_t, std::size_t, c10::Device) override {
      held += bytes;
      peak = std::max(peak, held);
    }
    [[nodiscard]] bool memoryProfilingEnabled() const override { return true; }
    std::int64_t held = 0;
    std::int64_t peak = 0;
  };
  std::shared_ptr<report> report_;
  c10::DebugInfoGuard guard_;
};

}  // namespace kvtransfer::test
