#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace kvtransfer::detail {

/// Keys and values of one layer of a batch. Sequences come in groups; those of a group, neighbours, share the prefix in
/// front of their tails. Allocated once and never moved.
struct layer_buffers {
  at::Tensor prefix_keys;    ///< `[groups, kv_heads, prefix, head_dim]`
  at::Tensor prefix_values;  ///< as the keys
  at::Tensor tail_keys;      ///< `[sequences, kv_heads, tail, head_dim]`
  at::Tensor tail_values;    ///< as the keys
};

/// Which prefix slots there are. One for all layers, or one a layer.
struct prefix_slots {
  at::Tensor ordinals;  ///< int64 `[groups, heads, prefix]`: a key's number from 1 on; `nobodys` if hidden
  at::Tensor counts;    ///< int64 `[groups, heads]`: keys
  at::Tensor used;      ///< int64 `[groups]`: slots in use, as in `lengths`
  std::vector<std::int64_t> lengths;  ///< group: slots in use
};

/// The ordinal of a slot that no query sees.
inline constexpr std::int64_t nobodys = std::int64_t{1} << 40;

/// The rows of a step: one token each of some sequences, no sequence twice.
struct step_rows {
  at::Tensor sequences;   ///< int64 `[rows]`
  at::Tensor lengths;     ///< int64 `[sequences of the batch]`, any stride: the tail slot that a sequence's token fills
  at::Tensor table_rows;  ///< int64 `[rows]`: where its cosines and sines stand in the tables
  bool all = false;       ///< whether they are all sequences of the batch, in order
  std::int64_t prefix = 0;  ///< no prefix is longer, slots
  std::int64_t tail = 0;    ///< no tail is longer, the token's own slot included
};

}  // namespace kvtransfer::detail
