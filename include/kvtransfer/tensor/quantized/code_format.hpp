#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <string_view>

namespace kvtransfer {

/// What one element of a quantized tensor is stored as.
enum class code_format : std::uint8_t {
  int4,           ///< 0 to 15, element 2i in the lower half of byte i and 2i + 1 in the upper
  int8,           ///< 0 to 255
  float8_e4m3fn,  ///< largest 448
  float8_e5m2,    ///< largest 57344
};

constexpr std::string_view to_string(code_format format) {
  switch (format) {
    case code_format::int4:
      return "int4";
    case code_format::int8:
      return "int8";
    case code_format::float8_e4m3fn:
      return "float8_e4m3fn";
    case code_format::float8_e5m2:
      return "float8_e5m2";
  }
  return "unknown";
}

/// Integers lie between the smallest and the largest element of their group; floats about zero.
constexpr bool is_integer(code_format format) { return format == code_format::int4 || format == code_format::int8; }

constexpr std::int64_t codes_per_byte(code_format format) { return format == code_format::int4 ? 2 : 1; }

/// The largest code: the last step of the integers, the largest number of the floats.
constexpr double largest_code(code_format format) {
  switch (format) {
    case code_format::int4:
      return 15;
    case code_format::int8:
      return 255;
    case code_format::float8_e4m3fn:
      return 448;
    case code_format::float8_e5m2:
      return 57344;
  }
  return 0;
}

/// How far, in units of the scale, an element at most lies from its code: half of the widest gap between two codes. For
/// floats that is the gap below the largest number; smaller elements lie closer.
constexpr double half_step(code_format format) {
  switch (format) {
    case code_format::float8_e4m3fn:
      return 16;
    case code_format::float8_e5m2:
      return 4096;
    default:
      return 0.5;
  }
}

/// The type of a tensor of codes.
constexpr at::ScalarType scalar_type_of(code_format format) {
  switch (format) {
    case code_format::float8_e4m3fn:
      return at::kFloat8_e4m3fn;
    case code_format::float8_e5m2:
      return at::kFloat8_e5m2;
    default:
      return at::kByte;
  }
}

}  // namespace kvtransfer
