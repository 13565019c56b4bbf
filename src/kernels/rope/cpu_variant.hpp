#pragma once

#include <cstdint>

#include "kernels/rope/quantized_rotation.hpp"
#include "kernels/rope/rotation_arguments.hpp"
#include "kernels/rope/rotation_order.hpp"

namespace kvtransfer::rope::kernels {

/// What keys are rotated with on a CPU, compiled for one instruction set.
struct cpu_variant {
  /// Rotates the units [begin, end) of `rotation_order`.
  void (*rotate_range)(const rotation_arguments& arguments, const layer_keys* layers, const rotation_order& order,
                       std::int64_t begin, std::int64_t end);
  /// Rotates the tiles [begin, end) of a layer, numbered as `rotation_order` numbers its units, with one row to each.
  void (*rotate_tiles)(const quantized_rotation& arguments, const quantized_keys& keys, const rotation_order& order,
                       std::int64_t begin, std::int64_t end, const tile_memory& memory);
};

extern const cpu_variant scalar_variant;
extern const cpu_variant avx2_variant;
extern const cpu_variant avx512_variant;

/// The best variant for this machine. ATEN_CPU_CAPABILITY=avx2 or =default holds it back, as it does torch's own
/// kernels.
const cpu_variant& best_variant();

}  // namespace kvtransfer::rope::kernels
