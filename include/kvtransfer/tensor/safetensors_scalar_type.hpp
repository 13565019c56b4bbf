#pragma once

#include <c10/core/ScalarType.h>

#include <array>
#include <optional>
#include <utility>

#include "kvtransfer/tensor/safetensors_dtype.hpp"

namespace kvtransfer {

/// torch's type for every safetensors type, in the order of `safetensors_dtype`.
inline constexpr std::array<at::ScalarType, safetensors_dtypes.size()> safetensors_scalar_types{
    at::kBool,   at::kByte,   at::kChar, at::kFloat8_e4m3fn, at::kFloat8_e5m2, at::kFloat8_e8m0fnu,
    at::kUInt16, at::kShort,  at::kHalf, at::kBFloat16,      at::kUInt32,      at::kInt,
    at::kFloat,  at::kUInt64, at::kLong, at::kDouble,        at::kComplexFloat};

/// The torch type of what the file calls `dtype`.
[[nodiscard]] constexpr at::ScalarType scalar_type_of(safetensors_dtype dtype) {
  return safetensors_scalar_types[static_cast<std::size_t>(dtype)];
}

/// What the file calls a torch type; nothing for types that the format lacks.
[[nodiscard]] constexpr std::optional<safetensors_dtype> safetensors_dtype_of(at::ScalarType type) {
  for (const auto& known : safetensors_dtypes) {
    if (scalar_type_of(known.dtype) == type) {
      return known.dtype;
    }
  }
  return std::nullopt;
}

}  // namespace kvtransfer
