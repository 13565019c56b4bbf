#pragma once

#include <c10/macros/Macros.h>

#include <cstdint>

namespace kvtransfer::kernels {

/// Where the slots of a storage lie: bytes between neighbours.
struct slot_strides {
  std::int64_t row = 0;
  std::int64_t head = 0;
  std::int64_t slot = 0;
  std::int64_t element = 0;
  std::int64_t row_slots = 1;  ///< slots in a row

  friend bool operator==(const slot_strides&, const slot_strides&) = default;

  /// Where the first head of slot `place` = row * row_slots + slot begins.
  C10_ALWAYS_INLINE C10_HOST_DEVICE std::int64_t offset(std::int64_t place) const {
    return place / row_slots * row + place % row_slots * slot;
  }
};

/// Neighbouring slots, as offsets of their first head from a layer's first byte.
struct byte_run {
  std::int64_t to;
  std::int64_t from;  ///< below 0 where zeros are written
  std::int64_t count;
};

/// Slots in a run that no list gives, where a head's elements lie side by side; and where they don't, so that memory is
/// read and written in stretches of several cache lines.
inline constexpr std::int64_t slots_per_run = 16;
inline constexpr std::int64_t slots_per_transposed_run = 256;
/// Bytes of an element that may lie apart from its neighbours.
inline constexpr std::int64_t widest_transposed = 8;

/// All that a kernel must know to copy slots, apart from the layers' addresses. Every device's kernel takes this one
/// struct.
struct slot_copy {
  std::int64_t runs = 0;  ///< in each layer
  std::int64_t kv_heads = 0;
  std::int64_t elements = 0;  ///< of a head
  std::int64_t element_bytes = 0;
  std::int64_t longest_run = slots_per_run;
  slot_strides to;
  slot_strides from;
  const std::int64_t* list =
      nullptr;  ///< for each run: to, from and count, places and slots; null: every slot to its like

  C10_ALWAYS_INLINE C10_HOST_DEVICE std::int64_t head_bytes() const { return elements * element_bytes; }
  /// Whether a head's elements lie apart from one another in either storage.
  C10_ALWAYS_INLINE C10_HOST_DEVICE bool is_transposed() const {
    return to.element != element_bytes || from.element != element_bytes;
  }

  C10_ALWAYS_INLINE C10_HOST_DEVICE byte_run run_at(std::int64_t index) const {
    if (list != nullptr) {
      const std::int64_t* run = list + 3 * index;
      return {to.offset(run[0]), run[1] < 0 ? -1 : from.offset(run[1]), run[2]};
    }
    const std::int64_t runs_in_row = (to.row_slots + longest_run - 1) / longest_run;
    const std::int64_t row = index / runs_in_row;
    const std::int64_t slot = index % runs_in_row * longest_run;
    const std::int64_t left = to.row_slots - slot;
    return {row * to.row + slot * to.slot, row * from.row + slot * from.slot, left < longest_run ? left : longest_run};
  }
};

/// The first byte of a layer on both sides.
struct layer_bytes {
  char* to = nullptr;
  const char* from = nullptr;
};

using slot_copy_launch = void (*)(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers);

void copy_slots_on_cpu(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers);
void copy_slots_on_cuda(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers);

/// What the two above do where a head's elements don't lie side by side on both sides.
void copy_transposed_on_cpu(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers);
void copy_transposed_on_cuda(const slot_copy& copy, const layer_bytes* layers, std::int64_t count_of_layers);

}  // namespace kvtransfer::kernels
