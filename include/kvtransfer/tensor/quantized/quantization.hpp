#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "kvtransfer/core/error.hpp"
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
[[nodiscard]] inline std::string describe(const quantization& scheme) {
  return fmt::format("{} {} in groups of {}", to_string(scheme.format),
                     scheme.is_per_channel() ? "per channel" : "per token", scheme.group_size);
}

/// The integer format of so many bits. @throws value_error unless they are 4 or 8
[[nodiscard]] inline code_format integer_format(std::int64_t bits) {
  require<value_error>(bits == 4 || bits == 8, "quantization", "bits", "4 or 8", formatted("{}", bits));
  return bits == 4 ? code_format::int4 : code_format::int8;
}

/// KIVI's scheme of keys. Its newest tokens, fewer than a group, stay unquantized there; here they are a shorter group.
/// Source: Liu et al., KIVI (arXiv 2402.02750), section 3 and jy-yuan/KIVI quant/new_pack.py
[[nodiscard]] inline quantization kivi_keys(std::int64_t bits, std::int64_t group_size = 32) {
  return {integer_format(bits), quantization_axis::per_channel, group_size};
}
/// KIVI's scheme of values.
/// Source: as `kivi_keys`
[[nodiscard]] inline quantization kivi_values(std::int64_t bits, std::int64_t group_size = 32) {
  return {integer_format(bits), quantization_axis::per_token, group_size};
}

/// @throws value_error unless groups of `scheme` divide heads of `head_dim` elements
inline void validate(const quantization& scheme, std::int64_t head_dim, std::string_view where) {
  require<value_error>(scheme.group_size >= 1, where, "group_size", "at least 1", formatted("{}", scheme.group_size));
  if (head_dim % codes_per_byte(scheme.format) != 0) {
    fail<value_error>(where, "head_dim", "an even number for codes of 4 bits", fmt::format("{}", head_dim));
  }
  if (scheme.is_per_channel()) {
    return;
  }
  require<value_error>(head_dim % scheme.group_size == 0, where, "group_size",
                       formatted("a divisor of head_dim={}", head_dim), formatted("{}", scheme.group_size));
  if (scheme.group_size % codes_per_byte(scheme.format) != 0) {
    fail<value_error>(where, "group_size", "an even number for codes of 4 bits", fmt::format("{}", scheme.group_size));
  }
}

}  // namespace kvtransfer
