#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "kvtransfer/model/weights/gguf_metadata.hpp"

namespace kvtransfer::detail {

static_assert(std::endian::native == std::endian::little, "GGUF data is little-endian and used as it is");

/// A number from bytes that need not be aligned.
template <class T>
T read_scalar(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

/// Bytes of one element; 0 for texts and arrays, whose length varies.
constexpr std::size_t gguf_element_bytes(gguf_value_type type) {
  using enum gguf_value_type;
  switch (type) {
    case u8:
    case i8:
    case boolean:
      return 1;
    case u16:
    case i16:
      return 2;
    case u32:
    case i32:
    case f32:
      return 4;
    case u64:
    case i64:
    case f64:
      return 8;
    case text:
    case array:
      return 0;
  }
  return 0;
}

/// How errors call a type.
constexpr std::string_view gguf_type_name(gguf_value_type type) {
  constexpr std::string_view names[] = {"uint8", "int8", "uint16", "int16",  "uint32", "int32",  "float32",
                                        "bool",  "text", "array",  "uint64", "int64",  "float64"};
  return names[static_cast<std::size_t>(type)];
}

}  // namespace kvtransfer::detail
