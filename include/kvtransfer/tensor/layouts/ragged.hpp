#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/tensor/concepts.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"

namespace kvtransfer::layouts {

/// Sequences of any length end to end, as flash-attention's variable-length interface takes them.
///
/// `layouts::ragged{layouts::cumulative_slots(cu_seqlens)}`. It lowers to one row that holds every token.
struct ragged {
  /// What `SlottedLayout` asks for.
  /// @{
  static constexpr std::string_view name = "ragged";
  static constexpr std::string_view axes = "[total_tokens, kv_heads, head_dim]";
  slot_table slots = {};

  [[nodiscard]] at::Tensor blocks(const at::Tensor& tensor) const { return tensor.transpose(0, 1).unsqueeze(0); }
  [[nodiscard]] std::vector<std::int64_t> storage_shape(std::int64_t kv_heads, std::int64_t head_dim) const {
    return {slots.slots_needed(), kv_heads, head_dim};
  }
  /// @}
};

static_assert(SlottedLayout<ragged>);

/// The table of sequences that lie end to end: tokens `cumulative[b]` to `cumulative[b + 1]` are sequence b, from slot
/// 0 on.
/// @param cumulative int32 or int64 `[batch + 1]`, any device: flash-attention's cu_seqlens
/// @throws shape_error unless it is a list that begins at 0 or above and never falls
[[nodiscard]] inline slot_table cumulative_slots(const at::Tensor& cumulative) {
  const std::vector<std::int64_t> ends = host_integers(cumulative, "cumulative_slots", "cumulative");
  require<shape_error>(!ends.empty() && ends.front() >= 0, "cumulative_slots", "cumulative",
                       "[batch + 1] from 0 or above", ends.empty() ? "none" : fmt::format("{} first", ends.front()));
  std::vector<slot_span> spans;
  std::int64_t longest = 0;
  for (std::size_t b = 0; b + 1 < ends.size(); ++b) {
    const std::int64_t count = ends[b + 1] - ends[b];
    require<shape_error>(count >= 0, "cumulative_slots", "cumulative", "a list that never falls",
                         fmt::format("{} after {}", ends[b + 1], ends[b]));
    spans.push_back({static_cast<std::int64_t>(b), 0, 0, ends[b], count});
    longest = std::max(longest, count);
  }
  return slot_table(static_cast<std::int64_t>(ends.size()) - 1, longest, std::move(spans));
}

/// The table of a ragged storage that holds the keys of `positions` end to end and no padding, whichever side that is
/// on.
[[nodiscard]] inline slot_table cumulative_slots(const position_map& positions) {
  std::vector<slot_span> spans;
  std::int64_t place = 0;
  for (std::int64_t b = 0; b < positions.batch(); ++b) {
    for (const slot_range& keys : detail::key_slots_of(positions, b)) {
      spans.push_back({b, keys.begin, 0, place, keys.count});
      place += keys.count;
    }
  }
  return slot_table(positions.batch(), positions.size(), std::move(spans));
}

}  // namespace kvtransfer::layouts
