#pragma once

#include <c10/core/ScalarType.h>

#include <cstdint>
#include <optional>

namespace kvtransfer {

/// What a frame leaves open about one layer's keys and values; how many rows and tokens there are, it says itself.
struct cached_layer {
  std::int64_t kv_heads = 1;                        ///< of keys and values alike
  std::int64_t head_dim = 0;                        ///< elements of a key
  at::ScalarType dtype = at::kFloat;                ///< of the keys
  std::optional<std::int64_t> value_head_dim = {};  ///< where it is not that of the keys
  std::optional<at::ScalarType> value_dtype = {};   ///< likewise

  /// Elements of a value.
  [[nodiscard]] std::int64_t values_head_dim() const { return value_head_dim.value_or(head_dim); }
  /// Of the values.
  [[nodiscard]] at::ScalarType values_dtype() const { return value_dtype.value_or(dtype); }
};

/// Whether a cache file carries checksums, which loading verifies: on either side they cost about half a second a
/// gigabyte.
enum class file_checksums : std::uint8_t {
  none,   ///< loading takes the bytes as they are
  crc32,  ///< of every tensor, compared when it is read
};

}  // namespace kvtransfer
