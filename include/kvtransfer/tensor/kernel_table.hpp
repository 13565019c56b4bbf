#pragma once

#include <ATen/core/Tensor.h>

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
unsigned long long libraries_loaded();

/// The table of the library that is loaded now; null where there is none of this version.
[[nodiscard]] const kernel_table* find_kernels();

/// The table of the kernels' library, or null. Asks the loader anew only where another library was loaded since.
[[nodiscard]] const kernel_table* kernels();

/// True if the kernels' library is loaded with a kernel `name`, as `kvtransfer::rotate_keys_`, for `device`.
[[nodiscard]] bool has_kernel(const char* name, at::Device device);

}  // namespace kvtransfer::detail

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/detail/kernel_table.ipp"  // IWYU pragma: export
#endif
