#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "kvtransfer/tensor/layouts/paged.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"

namespace kvtransfer::layouts {

KVTRANSFER_INLINE std::vector<std::int64_t> paged_nhd::storage_shape(std::int64_t kv_heads,
                                                                     std::int64_t head_dim) const {
  return {slots.blocks_needed(), slots.block_size(), kv_heads, head_dim};
}

KVTRANSFER_INLINE std::vector<std::int64_t> paged_hnd::storage_shape(std::int64_t kv_heads,
                                                                     std::int64_t head_dim) const {
  return {slots.blocks_needed(), kv_heads, slots.block_size(), head_dim};
}

}  // namespace kvtransfer::layouts

namespace kvtransfer::layouts::detail {

KVTRANSFER_INLINE void fill_blocks(std::vector<slot_span>& spans, std::int64_t batch,
                                   const std::vector<slot_range>& keys, std::span<const std::int64_t> blocks,
                                   std::int64_t block_size) {
  std::int64_t token = 0;
  for (slot_range left : keys) {
    while (left.count > 0) {
      const std::int64_t index = token / block_size;
      require<shape_error>(index < static_cast<std::int64_t>(blocks.size()), "block_slots",
                           formatted("blocks of sequence {}", batch),
                           formatted("more than {} of {} slots", blocks.size(), block_size),
                           formatted("{} tokens and more", token + left.count));
      const std::int64_t slot = token % block_size;
      const std::int64_t count = std::min(left.count, block_size - slot);
      if (const std::int64_t block = blocks[static_cast<std::size_t>(index)]; block >= 0) {
        spans.push_back({batch, left.begin, block, slot, count});
      }
      token += count;
      left = {left.begin + count, left.count - count};
    }
  }
}

KVTRANSFER_INLINE std::vector<std::vector<std::int64_t>> block_rows(const at::Tensor& block_table) {
  require<shape_error>(block_table.defined() && block_table.dim() == 2, "block_slots", "block_table",
                       "int32 or int64 [batch, blocks]", [&] { return describe(block_table); });
  const std::vector<std::int64_t> all = host_integers(block_table.reshape({-1}), "block_slots", "block_table");
  const auto width = block_table.size(1);
  std::vector<std::vector<std::int64_t>> rows;
  for (std::int64_t b = 0; b < block_table.size(0); ++b) {
    rows.emplace_back(all.begin() + b * width, all.begin() + (b + 1) * width);
  }
  return rows;
}

KVTRANSFER_INLINE void require_block_size(std::int64_t block_size) {
  require<shape_error>(block_size > 0, "block_slots", "block_size", "positive", fmt::format("{}", block_size));
}

}  // namespace kvtransfer::layouts::detail

namespace kvtransfer::layouts {

KVTRANSFER_INLINE slot_table block_slots(const at::Tensor& block_table, const at::Tensor& lengths,
                                         std::int64_t block_size) {
  detail::require_block_size(block_size);
  const std::vector<std::vector<std::int64_t>> rows = detail::block_rows(block_table);
  const std::vector<std::int64_t> counts = host_integers(lengths, "block_slots", "lengths");
  require_count<shape_error>(counts.size(), rows.size(), "block_slots", "lengths");
  std::vector<slot_span> spans;
  std::int64_t longest = 0;
  for (std::size_t b = 0; b < rows.size(); ++b) {
    require<shape_error>(counts[b] >= 0, "block_slots", "lengths", "none below 0", fmt::format("{}", counts[b]));
    detail::fill_blocks(spans, static_cast<std::int64_t>(b), {{0, counts[b]}}, rows[b], block_size);
    longest = std::max(longest, counts[b]);
  }
  return slot_table(static_cast<std::int64_t>(rows.size()), longest, std::move(spans), block_size);
}

KVTRANSFER_INLINE slot_table block_slots(const at::Tensor& indptr, const at::Tensor& indices,
                                         const at::Tensor& last_lengths, std::int64_t block_size) {
  detail::require_block_size(block_size);
  const std::vector<std::int64_t> starts = host_integers(indptr, "block_slots", "indptr");
  const std::vector<std::int64_t> ids = host_integers(indices, "block_slots", "indices");
  const std::vector<std::int64_t> last = host_integers(last_lengths, "block_slots", "last_lengths");
  require_count<shape_error>(starts.size(), last.size() + 1, "block_slots", "indptr");
  std::vector<slot_span> spans;
  std::int64_t longest = 0;
  for (std::size_t b = 0; b < last.size(); ++b) {
    const std::int64_t blocks = starts[b + 1] - starts[b];
    const std::int64_t count = blocks > 0 ? (blocks - 1) * block_size + last[b] : 0;
    require<shape_error>(starts[b] >= 0 && blocks >= 0 && starts[b + 1] <= static_cast<std::int64_t>(ids.size()) &&
                             (blocks <= 0 || (last[b] >= 1 && last[b] <= block_size)),
                         "block_slots", formatted("sequence {}", b),
                         formatted("entries of {} indices, 1 to {} tokens in the last", ids.size(), block_size),
                         formatted("[{}, {}) and {} tokens", starts[b], starts[b + 1], last[b]));
    const std::span<const std::int64_t> own(ids.data() + starts[b], static_cast<std::size_t>(blocks));
    detail::fill_blocks(spans, static_cast<std::int64_t>(b), {{0, count}}, own, block_size);
    longest = std::max(longest, count);
  }
  return slot_table(static_cast<std::int64_t>(last.size()), longest, std::move(spans), block_size);
}

KVTRANSFER_INLINE slot_table block_slots(const position_map& positions, const at::Tensor& block_table,
                                         std::int64_t block_size) {
  detail::require_block_size(block_size);
  const std::vector<std::vector<std::int64_t>> rows = detail::block_rows(block_table);
  const auto batch = static_cast<std::int64_t>(rows.size());
  require_count<shape_error>(batch, positions.batch(), "block_slots", "block_table", "{} rows");
  std::vector<slot_span> spans;
  for (std::int64_t b = 0; b < batch; ++b) {
    detail::fill_blocks(spans, b, detail::key_slots_of(positions, b), rows[static_cast<std::size_t>(b)], block_size);
  }
  return slot_table(batch, positions.size(), std::move(spans), block_size);
}

}  // namespace kvtransfer::layouts
