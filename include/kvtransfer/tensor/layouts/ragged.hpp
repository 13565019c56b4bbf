#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtransfer/tensor/concepts.hpp"
#include "kvtransfer/tensor/detail/cumulative_slots.hpp"
#include "kvtransfer/tensor/layouts/slot_table.hpp"

namespace kvtransfer::layouts {

/// Sequences of any length end to end, as flash-attention's variable-length interface takes them.
///
/// `layouts::ragged{layouts::cumulative_slots(cu_seqlens)}`. It lowers to one row that holds every token.
struct ragged {
  static constexpr std::string_view name = "ragged";
  static constexpr std::string_view axes = "[total_tokens, kv_heads, head_dim]";
  slot_table slots = {};

  at::Tensor blocks(const at::Tensor& tensor) const { return tensor.transpose(0, 1).unsqueeze(0); }
  std::vector<std::int64_t> storage_shape(std::int64_t kv_heads, std::int64_t head_dim) const {
    return {slots.slots_needed(), kv_heads, head_dim};
  }
};

static_assert(SlottedLayout<ragged>);

}  // namespace kvtransfer::layouts
