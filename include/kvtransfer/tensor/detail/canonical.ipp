#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>
#include <vector>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/implementation.hpp"
#include "kvtransfer/tensor/canonical.hpp"
#include "kvtransfer/tensor/detail/copy_slots.hpp"
#include "kvtransfer/tensor/lower.hpp"

namespace kvtransfer::layouts {

KVTRANSFER_INLINE void copy_storage_(const std::vector<storage>& to, const std::vector<storage>& from,
                                     implementation use, std::string_view where) {
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

KVTRANSFER_INLINE at::Tensor canonical(const storage& plain, std::string_view where) {
  if (!plain.slots) {
    return plain.blocks;
  }
  const cache_extents extents = plain.extents();
  at::Tensor gathered = plain.blocks.new_empty({extents.batch, extents.kv_heads, extents.seq, extents.head_dim});
  copy_storage_({{gathered, std::nullopt}}, {plain}, implementation::automatic, where);
  return gathered;
}

}  // namespace kvtransfer::layouts
