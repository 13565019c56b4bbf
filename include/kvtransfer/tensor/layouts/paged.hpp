#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/concepts.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"

namespace kvtransfer::layouts {

/// Blocks of tokens in any order, a token's heads side by side: vLLM's and FlashInfer's NHD.
///
/// `layouts::paged_nhd{layouts::block_slots(block_table, lengths, 16)}`. It lowers to one row per block.
/// Where keys and values share a tensor, `split_keys_values` gives the two halves that this layout reads.
/// Source: FlashInfer, "KV-Cache Layout in FlashInfer"; vLLM, v1/attention/backends/flash_attn.py.
struct paged_nhd {
  /// What `SlottedLayout` asks for.
  /// @{
  static constexpr std::string_view name = "paged_nhd";
  static constexpr std::string_view axes = "[num_blocks, block_size, kv_heads, head_dim]";
  slot_table slots = {};

  [[nodiscard]] at::Tensor blocks(const at::Tensor& tensor) const { return tensor.transpose(1, 2); }
  [[nodiscard]] std::vector<std::int64_t> storage_shape(std::int64_t kv_heads, std::int64_t head_dim) const {
    return {slots.blocks_needed(), slots.block_size(), kv_heads, head_dim};
  }
  /// @}
};

/// Blocks of tokens in any order, a head's tokens side by side: FlashInfer's HND.
struct paged_hnd {
  /// What `SlottedLayout` asks for.
  /// @{
  static constexpr std::string_view name = "paged_hnd";
  static constexpr std::string_view axes = "[num_blocks, kv_heads, block_size, head_dim]";
  slot_table slots = {};

  [[nodiscard]] at::Tensor blocks(const at::Tensor& tensor) const { return tensor; }
  [[nodiscard]] std::vector<std::int64_t> storage_shape(std::int64_t kv_heads, std::int64_t head_dim) const {
    return {slots.blocks_needed(), kv_heads, slots.block_size(), head_dim};
  }
  /// @}
};

static_assert(SlottedLayout<paged_nhd>);
static_assert(SlottedLayout<paged_hnd>);

namespace detail {

/// Puts the slots `keys` of a sequence into `blocks`, filling one after the other. A block id below 0 stands for a
/// block without storage.
/// @throws shape_error where the blocks are too few
inline void fill_blocks(std::vector<slot_span>& spans, std::int64_t batch, const std::vector<slot_range>& keys,
                        std::span<const std::int64_t> blocks, std::int64_t block_size) {
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

/// The rows of a block table. @throws shape_error unless it is int32 or int64 `[batch, blocks]`
[[nodiscard]] inline std::vector<std::vector<std::int64_t>> block_rows(const at::Tensor& block_table) {
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

inline void require_block_size(std::int64_t block_size) {
  require<shape_error>(block_size > 0, "block_slots", "block_size", "positive", fmt::format("{}", block_size));
}

}  // namespace detail

/// The table of a paged cache as vLLM keeps it: token t of sequence b lies in block `block_table[b][t / block_size]`.
/// @param block_table int32 or int64 `[batch, blocks]`, any device; entries past a row's last token mean nothing, and
///        an id below 0 before that stands for a block that is gone (a sliding window's)
/// @param lengths int32 or int64 `[batch]`, tokens of each row
/// @throws shape_error where a row has more tokens than its blocks hold
[[nodiscard]] inline slot_table block_slots(const at::Tensor& block_table, const at::Tensor& lengths,
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

/// The table of a paged cache as FlashInfer keeps it: sequence b has the blocks `indices[indptr[b]]` to
/// `indices[indptr[b + 1] - 1]`, of which the last holds `last_lengths[b]` tokens.
/// @param indptr int32 or int64 `[batch + 1]`, as the other two on any device
/// @param indices int32 or int64 `[blocks]`
/// @param last_lengths int32 or int64 `[batch]`, 1 to block_size for a row that has blocks
/// @throws shape_error where the lists do not fit each other
[[nodiscard]] inline slot_table block_slots(const at::Tensor& indptr, const at::Tensor& indices,
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

/// The table of a paged storage that holds the keys of `positions` in the blocks given and no padding, whichever side
/// that is on.
/// @param block_table int32 or int64 `[batch, blocks]`, any device
/// @throws shape_error where a row has more keys than its blocks hold
[[nodiscard]] inline slot_table block_slots(const position_map& positions, const at::Tensor& block_table,
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
