#pragma once

#include <c10/core/ScalarType.h>

#include <array>
#include <cstddef>
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

/// What there is to know of a format.
struct code_format_description {
  std::string_view name;  ///< as files and messages have it
  double largest_code;    ///< what an element of a group is scaled to at most
  double half_step;       ///< how far rounding takes an element off at most, in units of its scale
  at::ScalarType type;    ///< of the tensor of codes
};

/// All formats, in the enumeration's order.
inline constexpr std::array<code_format_description, 4> code_formats{{
    {"int4", 15, 0.5, at::kByte},
    {"int8", 255, 0.5, at::kByte},
    {"float8_e4m3fn", 448, 16, at::kFloat8_e4m3fn},
    {"float8_e5m2", 57344, 4096, at::kFloat8_e5m2},
}};

/// What there is to know of this one.
[[nodiscard]] constexpr const code_format_description& describe(code_format format) {
  return code_formats[static_cast<std::size_t>(format)];
}

/// The format's name.
[[nodiscard]] constexpr std::string_view to_string(code_format format) { return describe(format).name; }

/// Integers lie between the smallest and the largest element of their group; floats about zero.
[[nodiscard]] constexpr bool is_integer(code_format format) {
  return format == code_format::int4 || format == code_format::int8;
}

/// Two codes of 4 bits share a byte.
[[nodiscard]] constexpr std::int64_t codes_per_byte(code_format format) { return format == code_format::int4 ? 2 : 1; }

/// The largest code: the last step of the integers, the largest number of the floats.
[[nodiscard]] constexpr double largest_code(code_format format) { return describe(format).largest_code; }

/// How far, in units of the scale, an element at most lies from its code: half of the widest gap between two codes. For
/// floats that is the gap below the largest number; smaller elements lie closer.
[[nodiscard]] constexpr double half_step(code_format format) { return describe(format).half_step; }

/// The type of a tensor of codes.
[[nodiscard]] constexpr at::ScalarType scalar_type_of(code_format format) { return describe(format).type; }

}  // namespace kvtransfer
