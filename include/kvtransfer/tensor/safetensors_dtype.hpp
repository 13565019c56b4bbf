#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace kvtransfer {

/// Element types of the safetensors format that have a torch type of whole bytes.
enum class safetensors_dtype {
  boolean,
  u8,
  i8,
  f8_e4m3,
  f8_e5m2,
  f8_e8m0,
  u16,
  i16,
  f16,
  bf16,
  u32,
  i32,
  f32,
  u64,
  i64,
  f64,
  c64,
};

/// What the header calls a type, and its size.
struct safetensors_dtype_description {
  safetensors_dtype dtype;  ///< its place in `safetensors_dtypes` too
  std::string_view name;    ///< as in a header
  std::uint64_t bytes;      ///< of one element
};

/// Source: the `Dtype` enumeration of huggingface/safetensors, `tensor.rs`.
inline constexpr std::array<safetensors_dtype_description, 17> safetensors_dtypes{{
    {safetensors_dtype::boolean, "BOOL", 1},
    {safetensors_dtype::u8, "U8", 1},
    {safetensors_dtype::i8, "I8", 1},
    {safetensors_dtype::f8_e4m3, "F8_E4M3", 1},
    {safetensors_dtype::f8_e5m2, "F8_E5M2", 1},
    {safetensors_dtype::f8_e8m0, "F8_E8M0", 1},
    {safetensors_dtype::u16, "U16", 2},
    {safetensors_dtype::i16, "I16", 2},
    {safetensors_dtype::f16, "F16", 2},
    {safetensors_dtype::bf16, "BF16", 2},
    {safetensors_dtype::u32, "U32", 4},
    {safetensors_dtype::i32, "I32", 4},
    {safetensors_dtype::f32, "F32", 4},
    {safetensors_dtype::u64, "U64", 8},
    {safetensors_dtype::i64, "I64", 8},
    {safetensors_dtype::f64, "F64", 8},
    {safetensors_dtype::c64, "C64", 8},
}};

/// Name and size of a type.
[[nodiscard]] constexpr const safetensors_dtype_description& describe(safetensors_dtype dtype) {
  return safetensors_dtypes[static_cast<std::size_t>(dtype)];
}

/// The type of that name, if it is one of ours.
[[nodiscard]] constexpr std::optional<safetensors_dtype> safetensors_dtype_named(std::string_view name) {
  for (const auto& known : safetensors_dtypes) {
    if (known.name == name) {
      return known.dtype;
    }
  }
  return std::nullopt;
}

/// "BOOL, U8, …", for messages.
[[nodiscard]] inline std::string safetensors_dtype_names() {
  std::string names;
  for (const auto& known : safetensors_dtypes) {
    names += names.empty() ? "" : ", ";
    names += known.name;
  }
  return names;
}

}  // namespace kvtransfer
