#include "model/lack_of_memory.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <string>

#include "kvtransfer/core/error.hpp"
#include "model/free_memory.hpp"

namespace kvtransfer::detail {

namespace {

/// How much torch asked for, in its own words: "2.00 GiB", "400 bytes". Empty if it doesn't say.
std::string asked_for(std::string_view refused) {
  constexpr std::string_view before = "ried to allocate ";  // "Tried" on GPUs, "you tried" on the CPU
  const std::size_t found = refused.find(before);
  if (found == refused.npos) {
    return {};
  }
  const std::string_view amount = refused.substr(found + before.size());
  const std::size_t unit = amount.find(' ');
  return unit == amount.npos ? std::string() : std::string(amount.substr(0, amount.find_first_of(". \n", unit + 1)));
}

/// A GPU without memory for a context doesn't tell how much there is.
std::string free_text(c10::Device device) {
  try {
    return fmt::format("{} bytes free", free_memory(device));
  } catch (const c10::Error&) {
    return "too few to ask";
  }
}

}  // namespace

bool is_lack_of_memory(const c10::Error& refused) {
  constexpr std::int32_t memory_allocation =
      2;  // cudaErrorMemoryAllocation: what is not torch's allocator's, as a context
  const auto* driver = dynamic_cast<const c10::AcceleratorError*>(&refused);
  if (dynamic_cast<const c10::OutOfMemoryError*>(&refused) != nullptr ||
      (driver != nullptr && driver->get_error_code() == memory_allocation)) {
    return true;
  }
  // The CPU's allocator and NVIDIA's libraries have no type of their own.
  const std::string_view said = refused.what_without_backtrace();
  return said.find("DefaultCPUAllocator: ") != said.npos || said.find("_STATUS_ALLOC_FAILED") != said.npos;
}

void fail_for_lack_of_memory(std::string_view where, c10::Device device, std::string_view refused) {
  const std::string amount = asked_for(refused);
  fail<out_of_memory_error>(
      where, "memory", fmt::format("{} more on {}", amount.empty() ? "some" : amount, device.str()), free_text(device));
}

}  // namespace kvtransfer::detail
