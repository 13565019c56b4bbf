#pragma once

#include <cstdint>

namespace kvtransfer::rope::kernels {

// Keys as they lie in memory: bits with a name and no arithmetic, so that each instruction set converts them in its own
// way. (fp32 keys are plain float.)

struct bfloat16 {
  std::uint16_t bits;
};

struct float16 {
  std::uint16_t bits;
};

struct float8_e4m3 {
  std::uint8_t bits;
};

struct float8_e5m2 {
  std::uint8_t bits;
};

/// What one element of keys is.
enum class element_type : std::uint8_t { float32, bfloat16, float16, float8_e4m3, float8_e5m2 };

/// Calls `visit` with an element of that type.
template <class Visit>
auto with_element(element_type element, Visit&& visit) {
  switch (element) {
    case element_type::float32:
      return visit(float{});
    case element_type::bfloat16:
      return visit(bfloat16{});
    case element_type::float16:
      return visit(float16{});
    case element_type::float8_e4m3:
      return visit(float8_e4m3{});
    default:
      return visit(float8_e5m2{});
  }
}

}  // namespace kvtransfer::rope::kernels
