#pragma once

#include <cstdint>

namespace kvtransfer::kernels {

/// Calls `visit` with an unsigned integer of so many bytes, 1, 2, 4 or 8: what moves as it is needs no other type.
template <class Visit>
void with_word(std::int64_t bytes, Visit&& visit) {
  switch (bytes) {
    case 1:
      return visit(std::uint8_t{});
    case 2:
      return visit(std::uint16_t{});
    case 4:
      return visit(std::uint32_t{});
    default:
      return visit(std::uint64_t{});
  }
}

}  // namespace kvtransfer::kernels
