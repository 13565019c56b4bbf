#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>
#include <vector>

#include "kvtransfer/core/implementation.hpp"
#include "kvtransfer/tensor/detail/copy_slots.hpp"
#include "kvtransfer/tensor/lower.hpp"

namespace kvtransfer::layouts {

/// Copies every layer from one arrangement into another, in one pass. Padding that `from` does not store becomes zeros.
/// Differentiable with respect to `from`.
/// @param to one per layer; what no slot names stays as it is
/// @param from likewise
/// @throws shape_error, device_error, value_error where they do not go together
inline void copy_storage_(const std::vector<storage>& to, const std::vector<storage>& from,
                          implementation use = implementation::automatic, std::string_view where = "copy_storage_") {
  require_count<shape_error>(to.size(), from.size(), where, "layers");
  for (std::size_t begin = 0; begin < to.size();) {
    std::vector<at::Tensor> to_rows;
    std::vector<at::Tensor> from_rows;
    std::size_t end = begin;
    for (; end < to.size() && to[end].is_like(to[begin]) && from[end].is_like(from[begin]); ++end) {
      to_rows.push_back(to[end].blocks);
      from_rows.push_back(from[end].blocks);
    }
    kvtransfer::detail::copy_slots_(to_rows, from_rows, kvtransfer::detail::match_slots(to[begin], from[begin], where),
                                    use, where);
    begin = end;
  }
}

/// A tensor in the plain form as `[batch, kv_heads, seq, head_dim]`: without a copy where strides alone describe it,
/// else gathered, with zeros for slots that have no storage. Differentiable.
[[nodiscard]] inline at::Tensor canonical(const storage& plain, std::string_view where = "canonical") {
  if (!plain.slots) {
    return plain.blocks;
  }
  const cache_extents extents = plain.extents();
  at::Tensor gathered = plain.blocks.new_empty({extents.batch, extents.kv_heads, extents.seq, extents.head_dim});
  copy_storage_({{gathered, std::nullopt}}, {plain}, implementation::automatic, where);
  return gathered;
}

}  // namespace kvtransfer::layouts
