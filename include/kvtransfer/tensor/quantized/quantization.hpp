#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kvtransfer/tensor/quantized/code_format.hpp"

namespace kvtransfer {

/// Which elements share a scale.
enum class quantization_axis : std::uint8_t {
  per_token,    ///< neighbours within one head of one token: KIVI's values
  per_channel,  ///< one element of a head over neighbouring tokens: KIVI's keys, whose outliers keep to a few channels
};

/// A scheme: elements are stored as codes, and every group of them has a scale of its own.
struct quantization {
  code_format format = code_format::int8;                 ///< of each code
  quantization_axis axis = quantization_axis::per_token;  ///< along which neighbours share a scale
  std::int64_t group_size = 32;                           ///< per token: elements of a head; per channel: slots

  /// Whether a group runs over slots, rather than over a token's elements.
  [[nodiscard]] bool is_per_channel() const { return axis == quantization_axis::per_channel; }

  friend bool operator==(const quantization&, const quantization&) = default;
};

/// A scheme as errors show it: `int8 per token in groups of 32`.
[[nodiscard]] std::string describe(const quantization& scheme);

/// The integer format of so many bits. @throws value_error unless they are 4 or 8
[[nodiscard]] code_format integer_format(std::int64_t bits);

/// KIVI's scheme of keys. Its newest tokens, fewer than a group, stay unquantized there; here they are a shorter group.
/// Source: Liu et al., KIVI (arXiv 2402.02750), section 3 and jy-yuan/KIVI quant/new_pack.py
[[nodiscard]] quantization kivi_keys(std::int64_t bits, std::int64_t group_size = 32);
/// KIVI's scheme of values.
/// Source: as `kivi_keys`
[[nodiscard]] quantization kivi_values(std::int64_t bits, std::int64_t group_size = 32);

/// @throws value_error unless groups of `scheme` divide heads of `head_dim` elements
void validate(const quantization& scheme, std::int64_t head_dim, std::string_view where);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/quantized/detail/quantization.ipp"  // IWYU pragma: export
#endif
