#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtransfer/tensor/concepts.hpp"
#include "kvtransfer/tensor/detail/block_slots.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"

namespace kvtransfer::layouts {

/// Blocks of tokens in any order, a token's heads side by side: vLLM's and FlashInfer's NHD.
///
/// `layouts::paged_nhd{layouts::block_slots(block_table, lengths, 16)}`. It lowers to one row per block.
/// Where keys and values share a tensor, `split_keys_values` gives the two halves that this layout reads.
/// Source: FlashInfer, "KV-Cache Layout in FlashInfer"; vLLM, v1/attention/backends/flash_attn.py.
struct paged_nhd {
  static constexpr std::string_view name = "paged_nhd";
  static constexpr std::string_view axes = "[num_blocks, block_size, kv_heads, head_dim]";
  slot_table slots = {};

  at::Tensor blocks(const at::Tensor& tensor) const { return tensor.transpose(1, 2); }
  std::vector<std::int64_t> storage_shape(std::int64_t kv_heads, std::int64_t head_dim) const {
    return {slots.blocks_needed(), slots.block_size(), kv_heads, head_dim};
  }
};

/// Blocks of tokens in any order, a head's tokens side by side: FlashInfer's HND.
struct paged_hnd {
  static constexpr std::string_view name = "paged_hnd";
  static constexpr std::string_view axes = "[num_blocks, kv_heads, block_size, head_dim]";
  slot_table slots = {};

  at::Tensor blocks(const at::Tensor& tensor) const { return tensor; }
  std::vector<std::int64_t> storage_shape(std::int64_t kv_heads, std::int64_t head_dim) const {
    return {slots.blocks_needed(), kv_heads, slots.block_size(), head_dim};
  }
};

static_assert(SlottedLayout<paged_nhd>);
static_assert(SlottedLayout<paged_hnd>);

}  // namespace kvtransfer::layouts
