#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/tensor/concepts.hpp"
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
  [[nodiscard]] std::vector<std::int64_t> storage_shape(std::int64_t kv_heads, std::int64_t head_dim) const;
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
  [[nodiscard]] std::vector<std::int64_t> storage_shape(std::int64_t kv_heads, std::int64_t head_dim) const;
  /// @}
};

static_assert(SlottedLayout<paged_nhd>);
static_assert(SlottedLayout<paged_hnd>);

namespace detail {

/// Puts the slots `keys` of a sequence into `blocks`, filling one after the other. A block id below 0 stands for a
/// block without storage.
/// @throws shape_error where the blocks are too few
void fill_blocks(std::vector<slot_span>& spans, std::int64_t batch, const std::vector<slot_range>& keys,
                 std::span<const std::int64_t> blocks, std::int64_t block_size);

/// The rows of a block table. @throws shape_error unless it is int32 or int64 `[batch, blocks]`
[[nodiscard]] std::vector<std::vector<std::int64_t>> block_rows(const at::Tensor& block_table);

void require_block_size(std::int64_t block_size);

}  // namespace detail

/// The table of a paged cache as vLLM keeps it: token t of sequence b lies in block `block_table[b][t / block_size]`.
/// @param block_table int32 or int64 `[batch, blocks]`, any device; entries past a row's last token mean nothing, and
///        an id below 0 before that stands for a block that is gone (a sliding window's)
/// @param lengths int32 or int64 `[batch]`, tokens of each row
/// @throws shape_error where a row has more tokens than its blocks hold
[[nodiscard]] slot_table block_slots(const at::Tensor& block_table, const at::Tensor& lengths, std::int64_t block_size);

/// The table of a paged cache as FlashInfer keeps it: sequence b has the blocks `indices[indptr[b]]` to
/// `indices[indptr[b + 1] - 1]`, of which the last holds `last_lengths[b]` tokens.
/// @param indptr int32 or int64 `[batch + 1]`, as the other two on any device
/// @param indices int32 or int64 `[blocks]`
/// @param last_lengths int32 or int64 `[batch]`, 1 to block_size for a row that has blocks
/// @throws shape_error where the lists do not fit each other
[[nodiscard]] slot_table block_slots(const at::Tensor& indptr, const at::Tensor& indices,
                                     const at::Tensor& last_lengths, std::int64_t block_size);

/// The table of a paged storage that holds the keys of `positions` in the blocks given and no padding, whichever side
/// that is on.
/// @param block_table int32 or int64 `[batch, blocks]`, any device
/// @throws shape_error where a row has more keys than its blocks hold
[[nodiscard]] slot_table block_slots(const position_map& positions, const at::Tensor& block_table,
                                     std::int64_t block_size);

}  // namespace kvtransfer::layouts

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/layouts/detail/paged.ipp"  // IWYU pragma: export
#endif
