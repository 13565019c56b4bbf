#pragma once

#include <cstdint>

#include "kernels/tensor/slot_copy.hpp"

namespace kvtransfer::kernels {

/// Whether a head's elements lie side by side where they are read and slots where they are written (slots become
/// columns), or the other way about.
enum class transposition { slots_to_columns, columns_to_slots, neither };

inline transposition transposition_of(const slot_copy& copy) {
  const std::int64_t size = copy.element_bytes;
  if (copy.from.element == size && copy.to.slot == size) {
    return transposition::slots_to_columns;
  }
  return copy.from.slot == size && copy.to.element == size ? transposition::columns_to_slots : transposition::neither;
}

}  // namespace kvtransfer::kernels
