#pragma once

#include <c10/core/Device.h>
#include <c10/util/Exception.h>

#include <new>
#include <string_view>
#include <utility>

namespace kvtransfer::detail {

/// Whether torch gave up for lack of memory, on whatever device.
[[nodiscard]] bool is_lack_of_memory(const c10::Error& refused);

/// @param where as for `fail` @param refused what torch said @throws out_of_memory_error: what was asked for, what is
/// free
[[noreturn]] void fail_for_lack_of_memory(std::string_view where, c10::Device device, std::string_view refused);

/// Runs `work`; where there is no memory for what it allocates, that is said as by the library's other errors.
/// @throws out_of_memory_error with bytes needed and free; what `work` throws
template <class Work>
decltype(auto) naming_lack_of_memory(std::string_view where, c10::Device device, Work&& work) {
  try {
    return std::forward<Work>(work)();
  } catch (const c10::Error& refused) {
    if (is_lack_of_memory(refused)) {
      fail_for_lack_of_memory(where, device, refused.what_without_backtrace());
    }
    throw;
  } catch (const std::bad_alloc&) {
    fail_for_lack_of_memory(where, c10::Device(c10::kCPU), "");
  }
}

}  // namespace kvtransfer::detail
