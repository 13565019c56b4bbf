#pragma once

#include <c10/macros/Macros.h>

#include <cstdint>

namespace kvtransfer::kernels {

/// Where the slots of a storage lie, in bytes; a head's elements lie side by side.
struct slot_strides {
  std::int64_t row = 0;
  std::int64_t head = 0;
  std::int64_t slot = 0;
  std::int64_t row_slots = 1;  ///< slots in a row

  friend bool operator==(const slot_strides&, const slot_strides&) = default;

  /// Where the first head of slot `place` = row * row_slots + slot begins.
  C10_ALWAYS_INLINE C10_HOST_DEVICE std::int64_t offset(std::int64_t place) const {
    return place / row_slots * row + place % row_slots * slot;
  }
};

/// All that a kernel must know to copy slots, apart from the layers' addresses. Every device's kernel takes this one struct.
struct slot_copy {
  std::int64_t pairs = 0;  ///< slots to copy in each layer
  std::int64_t kv_heads = 0;
  std::int64_t head_bytes = 0;
  slot_strides to;
  slot_strides from;
  const std::int64_t* to_places = nullptr;    ///< null: pair i goes to place i
  const std::int64_t* from_places = nullptr;  ///< null: pair i comes from place i; -1: zeros are written

  C10_ALWAYS_INLINE C10_HOST_DEVICE std::int64_t to_offset(std::int64_t pair) const {
    return to.offset(to_places == nullptr ? pair : to_places[pair]);
  }
  /// Below 0 where zeros are written.
  C10_ALWAYS_INLINE C10_HOST_DEVICE std::int64_t from_offset(std::int64_t pair) const {
    const std::int64_t place = from_places == nullptr ? pair : from_places[pair];
    return place < 0 ? -1 : from.offset(place);
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

}  // namespace kvtransfer::kernels
