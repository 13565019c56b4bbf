#include <bit>
#include <cstdint>

#include "kernels/rope/elements.hpp"
#include "kernels/rope/lanes_scalar.hpp"
#include "kernels/rope/quantized_rotation_cpu.hpp"

// Compiled for any machine; also takes fp8, which no CPU converts quickly.

namespace kvtransfer::rope::kernels {
namespace {

/// fp8 elements about zero, which saturate.
template <class Element, int Largest>
struct float_codes {
  static constexpr bool has_minimum = false;
  static constexpr float largest = Largest;

  static void read(const std::uint8_t* from, float* to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      const Element code{from[i]};
      to[i] = scalar_lanes::load(&code);
    }
  }
  static void write(const float* steps, std::uint8_t* to, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      Element code;
      scalar_lanes::store(&code, steps[i]);
      to[i] = code.bits;
    }
  }
};

}  // namespace

void rotate_tiles_scalar(const quantized_rotation& given, const quantized_keys& keys, const rotation_order& order,
                         std::int64_t begin, std::int64_t end, const tile_memory& memory) {
  switch (given.code) {
    case code_type::int4:
      return rotate_tiles<scalar_lanes, int4_codes>(given, keys, order, begin, end, memory);
    case code_type::int8:
      return rotate_tiles<scalar_lanes, int8_codes>(given, keys, order, begin, end, memory);
    case code_type::float8_e4m3:
      return rotate_tiles<scalar_lanes, float_codes<float8_e4m3, 448>>(given, keys, order, begin, end, memory);
    case code_type::float8_e5m2:
      return rotate_tiles<scalar_lanes, float_codes<float8_e5m2, 57344>>(given, keys, order, begin, end, memory);
  }
}

}  // namespace kvtransfer::rope::kernels
