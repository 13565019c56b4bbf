#pragma once

#include <ATen/core/Tensor.h>
#include <dlfcn.h>
#if !defined(__APPLE__)
#include <link.h>
#endif

#include <atomic>
#include <cstddef>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/tensor/kernel_table.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE unsigned long long libraries_loaded() {
  unsigned long long count = 0;
#if !defined(__APPLE__)
  const auto read = [](dl_phdr_info* info, std::size_t, void* result) {
    *static_cast<unsigned long long*>(result) = info->dlpi_adds;
    return 1;
  };
  dl_iterate_phdr(read, &count);
#endif
  return count;
}

KVTRANSFER_INLINE const kernel_table* find_kernels() {
#if defined(__APPLE__)
  constexpr const char* name = "libkvtransfer_kernels.dylib";
#else
  constexpr const char* name = "libkvtransfer_kernels.so";
#endif
  void* const library = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
  void* const function = library == nullptr ? nullptr : dlsym(library, "kvtransfer_kernel_table");
  if (function == nullptr) {
    return nullptr;
  }
  const kernel_table* const table = reinterpret_cast<const kernel_table* (*)()>(function)();
  return table->version == kernel_table::current_version ? table : nullptr;
}

KVTRANSFER_INLINE const kernel_table* kernels() {
  static std::atomic<const kernel_table*> found = nullptr;
  static std::atomic<unsigned long long> searched_at = ~0ULL;
  if (const kernel_table* const table = found.load(std::memory_order_acquire)) {
    return table;
  }
  const unsigned long long now = libraries_loaded();
  if (now != 0 && searched_at.load(std::memory_order_acquire) == now) {
    return nullptr;
  }
  const kernel_table* const table = find_kernels();
  if (table != nullptr) {
    found.store(table, std::memory_order_release);
  }
  searched_at.store(now, std::memory_order_release);
  return table;
}

KVTRANSFER_INLINE bool has_kernel(const char* name, at::Device device) {
  const kernel_table* const table = kernels();
  return table != nullptr && (device.is_cuda() || device.is_cpu()) && table->has_kernel(name, device.type());
}

}  // namespace kvtransfer::detail
