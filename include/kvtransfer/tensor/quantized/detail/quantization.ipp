#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/quantized/code_format.hpp"
#include "kvtransfer/tensor/quantized/quantization.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE std::string describe(const quantization& scheme) {
  return fmt::format("{} {} in groups of {}", to_string(scheme.format),
                     scheme.is_per_channel() ? "per channel" : "per token", scheme.group_size);
}

KVTRANSFER_INLINE code_format integer_format(std::int64_t bits) {
  require<value_error>(bits == 4 || bits == 8, "quantization", "bits", "4 or 8", formatted("{}", bits));
  return bits == 4 ? code_format::int4 : code_format::int8;
}

KVTRANSFER_INLINE quantization kivi_keys(std::int64_t bits, std::int64_t group_size) {
  return {integer_format(bits), quantization_axis::per_channel, group_size};
}

KVTRANSFER_INLINE quantization kivi_values(std::int64_t bits, std::int64_t group_size) {
  return {integer_format(bits), quantization_axis::per_token, group_size};
}

KVTRANSFER_INLINE void validate(const quantization& scheme, std::int64_t head_dim, std::string_view where) {
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
