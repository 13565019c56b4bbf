#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <string_view>

#include "kvtransfer/core/cache_extents.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/lower.hpp"

namespace kvtransfer::layouts {

KVTRANSFER_INLINE cache_extents storage::extents() const {
  return slots ? cache_extents{slots->batch(), blocks.size(1), slots->seq(), blocks.size(3)} : extents_of(blocks);
}

KVTRANSFER_INLINE bool storage::is_like(const storage& other) const {
  return blocks.sizes() == other.blocks.sizes() && slots == other.slots;
}

}  // namespace kvtransfer::layouts

namespace kvtransfer::layouts::detail {

KVTRANSFER_INLINE void require_places(const at::Tensor& blocks, const slot_table& slots, std::string_view where,
                                      std::string_view what) {
  const bool slots_fit =
      slots.block_size() == 0 ? blocks.size(2) >= slots.slots_needed() : blocks.size(2) == slots.block_size();
  require<shape_error>(blocks.size(0) >= slots.blocks_needed() && slots_fit, where, what,
                       formatted("{} blocks of {} slots, which the layout's table names", slots.blocks_needed(),
                                 std::max(slots.block_size(), slots.slots_needed())),
                       formatted("{} blocks of {} slots", blocks.size(0), blocks.size(2)));
}

}  // namespace kvtransfer::layouts::detail
