#pragma once

#include <cstdint>

namespace kvtransfer::kernels {

/// One query of each of several sequences against what they have in their caches, lowered: a plain struct for kernels.
/// A sequence has the prefix of its group in front and a tail of its own behind. decode_attention.cpp describes each.
struct cached_attention {
  const void* q = nullptr;  ///< [rows, q_heads, head_dim]
  void* context = nullptr;  ///< likewise
  const void* prefix_keys = nullptr;
  const void* prefix_values = nullptr;
  const void* tail_keys = nullptr;
  const void* tail_values = nullptr;
  const std::int64_t* sequences = nullptr;
  const std::int64_t* lengths = nullptr;
  const std::int64_t* prefix_lengths = nullptr;
  const std::int64_t* ordinals = nullptr;
  const std::int64_t* counts = nullptr;
  std::int64_t rows = 0;
  std::int64_t tails = 0;    ///< sequences in all
  std::int64_t members = 0;  ///< of each group
  std::int64_t kv_heads = 0;
  std::int64_t shared = 0;  ///< query heads that share a KV head
  std::int64_t head_dim = 0;
  std::int64_t prefix = 0;  ///< slots that a prefix has room for
  std::int64_t tail = 0;    ///< slots that a tail has room for
  std::int64_t length_stride = 1;
  std::int64_t ordinal_heads = 1;
  std::int64_t window = 0;  ///< keys that a query sees; 0: all
  float scale = 1;
  float softcap = 0;  ///< 0: none
};

#if defined(__CUDACC__)
#define KVT_HOST_DEVICE __host__ __device__
#else
#define KVT_HOST_DEVICE
#endif

/// What one row's KV head may look at, slots counted through prefix and tail.
struct row_slots {
  std::int64_t sequence;
  std::int64_t group;
  std::int64_t prefix;       ///< slots of the prefix
  std::int64_t first;        ///< no slot before it is visible
  std::int64_t end;          ///< one behind the query's own
  std::int64_t first_tail;   ///< the first visible slot of the tail
  std::int64_t query;        ///< the query's ordinal
  std::int64_t prefix_at;    ///< where the head's prefix begins, in slots
  std::int64_t tail_at;      ///< where the head's tail begins, in slots
  std::int64_t ordinals_at;  ///< where the ordinals of the prefix begin

  /// Where the key of a slot lies in prefix (from `prefix_at` on) or tail, in slots.
  [[nodiscard]] KVT_HOST_DEVICE bool in_prefix(std::int64_t slot) const { return slot < prefix; }
};

KVT_HOST_DEVICE inline row_slots slots_of_row(const cached_attention& a, std::int64_t row, std::int64_t kv_head) {
  row_slots s;
  s.sequence = a.sequences[row];
  s.group = s.sequence / a.members;
  s.prefix = a.prefix_lengths[s.group];
  const std::int64_t length = a.lengths[s.sequence * a.length_stride];
  s.end = s.prefix + length + 1;
  const std::int64_t ordinal_row = s.group * a.ordinal_heads + (a.ordinal_heads > 1 ? kv_head : 0);
  s.query = a.counts[ordinal_row] + length + 1;
  s.ordinals_at = ordinal_row * a.prefix;
  s.prefix_at = (s.group * a.kv_heads + kv_head) * a.prefix;
  s.tail_at = (s.sequence * a.kv_heads + kv_head) * a.tail;
  const std::int64_t hidden_tail = a.window > 0 && length + 1 > a.window ? length + 1 - a.window : 0;
  s.first_tail = s.prefix + hidden_tail;
  // A slot holds at most as many keys as there are slots up to it.
  const std::int64_t hidden_prefix = a.window > 0 && s.query > a.window ? s.query - a.window : 0;
  s.first = hidden_prefix < s.prefix ? hidden_prefix : s.first_tail;
  return s;
}

/// Whether the row's query sees a slot in [first, end).
KVT_HOST_DEVICE inline bool is_visible(const cached_attention& a, const row_slots& s, std::int64_t slot) {
  if (!s.in_prefix(slot)) {
    return slot >= s.first_tail;
  }
  const std::int64_t ordinal = a.ordinals[s.ordinals_at + slot];
  return ordinal <= s.query && (a.window == 0 || ordinal > s.query - a.window);
}

#undef KVT_HOST_DEVICE

/// Whether a GPU's kernel takes heads of that size.
[[nodiscard]] constexpr bool attends_on_gpu(std::int64_t head_dim) { return head_dim % 8 == 0 && head_dim <= 256; }

}  // namespace kvtransfer::kernels
