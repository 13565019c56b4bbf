#pragma once

#include <ATen/core/Tensor.h>
#include <dlfcn.h>
#if !defined(__APPLE__)
#include <link.h>
#endif

#include <atomic>
#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

// How headers reach the fused kernels: by a table of functions that the library kvtransfer_kernels exports. Its
// functions call torch's dispatcher, so that autograd, dispatch modes and Python see the same operators. They do so
// inside the library: the dispatcher's headers would cost whatever includes this one seconds of compile time.
//
// The table is found by asking the loader, once the library is linked or loaded by whomever. A variable that the
// library sets would be shorter, but the linker leaves such a variable out of what a program exports, and a library
// opened later sets a copy of its own. What is found stays loaded. Limits: the library keeps its file name, and library
// and headers are of one `kernel_table::current_version`; else it counts as not loaded.

namespace kvtransfer::detail {

/// A rotation of keys as the operators take it; src/kernels/rope/operators.cpp describes each. The one place that lists
/// the ten arguments: the operators' C++ signatures are made of `arguments()`.
struct rotation_tensors {
  std::optional<at::Tensor> from_positions = {};
  std::optional<at::Tensor> to_positions = {};
  std::int64_t delta = 0;
  std::optional<at::Tensor> from_inv_freq = {};
  std::optional<at::Tensor> to_inv_freq = {};
  std::optional<at::Tensor> stream_of = {};
  double gain = 1;
  std::int64_t window_offset = 0;
  bool interleaved = false;
  bool model_faithful = false;

  /// All of them in the schema's order.
  [[nodiscard]] auto arguments() const {
    return std::tie(from_positions, to_positions, delta, from_inv_freq, to_inv_freq, stream_of, gain, window_offset,
                    interleaved, model_faithful);
  }
};

/// Quantized layers as the operator takes them; src/kernels/rope/quantized_operators.cpp describes each.
struct quantized_layers {
  at::TensorList codes = {};
  at::TensorList scales = {};
  at::TensorList minimums = {};
  at::TensorList errors = {};
  std::optional<at::Tensor> group_ends = {};
  std::optional<at::Tensor> valid = {};
  std::int64_t bits = 8;

  /// All of them in the schema's order.
  [[nodiscard]] auto arguments() const { return std::tie(codes, scales, minimums, errors, group_ends, valid, bits); }
};

/// What the kernels' library offers. `version` stays in front whatever the version.
struct kernel_table {
  static constexpr std::int32_t current_version = 1;

  std::int32_t version;
  /// Whether the operator, as `kvtransfer::rotate_keys_`, has a kernel for `device`.
  bool (*has_kernel)(const char* name, at::DeviceType device);
  /// Whether it has one that keeps gradients of tensors on `device`.
  bool (*has_autograd)(const char* name, at::DeviceType device);
  void (*rotate_keys_)(const rotation_tensors& rotation, at::TensorList keys);
  std::vector<at::Tensor> (*rotate_keys)(const rotation_tensors& rotation, at::TensorList keys);
  void (*rotate_blocks_)(const rotation_tensors& rotation, at::TensorList keys, const at::Tensor& blocks);
  void (*rotate_quantized_keys_)(const rotation_tensors& rotation, const quantized_layers& keys);
  void (*convert_pairing_)(at::TensorList keys, std::int64_t window_offset, std::int64_t rotary_dim,
                           bool to_interleaved);
  void (*copy_slots_)(at::TensorList to, at::TensorList from, const std::optional<at::Tensor>& runs);
};

/// How many libraries the process has loaded so far; 0 where the loader does not count them.
inline unsigned long long libraries_loaded() {
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

/// The table of the library that is loaded now; null where there is none of this version.
[[nodiscard]] inline const kernel_table* find_kernels() {
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

/// The table of the kernels' library, or null. Asks the loader anew only where another library was loaded since.
[[nodiscard]] inline const kernel_table* kernels() {
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

/// True if the kernels' library is loaded with a kernel `name`, as `kvtransfer::rotate_keys_`, for `device`.
[[nodiscard]] inline bool has_kernel(const char* name, at::Device device) {
  const kernel_table* const table = kernels();
  return table != nullptr && (device.is_cuda() || device.is_cpu()) && table->has_kernel(name, device.type());
}

}  // namespace kvtransfer::detail
