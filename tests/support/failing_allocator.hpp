#pragma once

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <cstddef>
#include <cstdint>
#include <new>

namespace kvtransfer::test {

/// While it lives, the host's memory for tensors runs out once: at allocation `number`, counted from 0.
class failing_allocator final : public c10::Allocator {
 public:
  explicit failing_allocator(std::int64_t number) : left_(number) { c10::SetCPUAllocator(this, priority); }
  failing_allocator(const failing_allocator&) = delete;
  failing_allocator& operator=(const failing_allocator&) = delete;
  ~failing_allocator() override { c10::SetCPUAllocator(whole_, priority); }

  c10::DataPtr allocate(std::size_t bytes) override {
    if (left_-- == 0) {
      throw std::bad_alloc();
    }
    return whole_->allocate(bytes);
  }
  c10::DeleterFnPtr raw_deleter() const override { return whole_->raw_deleter(); }
  void copy_data(void* to, const void* from, std::size_t bytes) const override { whole_->copy_data(to, from, bytes); }

 private:
  static constexpr std::uint8_t priority = 1;

  c10::Allocator* whole_ = c10::GetCPUAllocator();
  std::int64_t left_;
};

}  // namespace kvtransfer::test
