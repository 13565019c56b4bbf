#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/tensor/concepts.hpp"
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
  [[nodiscard]] std::vector<std::int64_t> storage_shape(std::int64_t kv_heads, std::int64_t head_dim) const;
  /// @}
};

static_assert(SlottedLayout<ragged>);

/// The table of sequences that lie end to end: tokens `cumulative[b]` to `cumulative[b + 1]` are sequence b, from slot
/// 0 on.
/// @param cumulative int32 or int64 `[batch + 1]`, any device: flash-attention's cu_seqlens
/// @throws shape_error unless it is a list that begins at 0 or above and never falls
[[nodiscard]] slot_table cumulative_slots(const at::Tensor& cumulative);

/// The table of a ragged storage that holds the keys of `positions` end to end and no padding, whichever side that is
/// on.
[[nodiscard]] slot_table cumulative_slots(const position_map& positions);

}  // namespace kvtransfer::layouts

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/tensor/layouts/detail/ragged.ipp"  // IWYU pragma: export
#endif
