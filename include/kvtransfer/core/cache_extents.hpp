#pragma once

#include <fmt/format.h>

#include <cstdint>

namespace kvtransfer {

/// Sizes of one layer's keys or values by name, so that no operation has to remember which axis of a layout is which.
struct cache_extents {
  std::int64_t batch = 0;  ///< sequences
  /// heads that hold keys and values, fewer than query heads under grouped-query attention
  std::int64_t kv_heads = 0;
  std::int64_t seq = 0;       ///< tokens
  std::int64_t head_dim = 0;  ///< elements

  /// The same with another number of slots.
  [[nodiscard]] cache_extents with_seq(std::int64_t slots) const { return {batch, kv_heads, slots, head_dim}; }

  friend bool operator==(const cache_extents&, const cache_extents&) = default;
};

}  // namespace kvtransfer

// Doxygen finds no scope for a specialization that is declared outside its namespace.
/// @cond

/// Prints extents as errors show them: `[batch=1, kv_heads=8, seq=512, head_dim=128]`. There are no format options.
template <>
struct fmt::formatter<kvtransfer::cache_extents> {
  constexpr auto parse(fmt::format_parse_context& context) { return context.begin(); }

  template <class Context>
  auto format(const kvtransfer::cache_extents& extents, Context& context) const {
    return fmt::format_to(context.out(), "[batch={}, kv_heads={}, seq={}, head_dim={}]", extents.batch,
                          extents.kv_heads, extents.seq, extents.head_dim);
  }
};

/// @endcond
