#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "kvtransfer/tensor/layouts/ragged.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"

namespace kvtransfer::layouts {

KVTRANSFER_INLINE std::vector<std::int64_t> ragged::storage_shape(std::int64_t kv_heads, std::int64_t head_dim) const {
  return {slots.slots_needed(), kv_heads, head_dim};
}

KVTRANSFER_INLINE slot_table cumulative_slots(const at::Tensor& cumulative) {
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

KVTRANSFER_INLINE slot_table cumulative_slots(const position_map& positions) {
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
