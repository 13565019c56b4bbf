#pragma once

#include <c10/core/Device.h>

#include <algorithm>
#include <cstdint>

#include "kvtransfer/core/cache_extents.hpp"

namespace kvtransfer::detail {

/// Calls `visit(begin, end)` for neighbouring slots, all in turn: on a CPU for so few at a time that a dozen passes
/// over their floats stay in its caches, and memory for them is not asked of the system again and again; elsewhere for
/// all at once.
/// @param multiple of how many slots every slab but the last is
template <class Visit>
void for_each_slab(const cache_extents& extents, std::int64_t multiple, at::Device device, Visit&& visit) {
  constexpr std::int64_t elements_of_slab = 1 << 18;
  const std::int64_t elements_of_slot = std::max<std::int64_t>(1, extents.batch * extents.kv_heads * extents.head_dim);
  const std::int64_t fitting = std::max<std::int64_t>(1, elements_of_slab / elements_of_slot);
  const std::int64_t slots = device.is_cpu() ? (fitting + multiple - 1) / multiple * multiple : extents.seq;
  for (std::int64_t begin = 0; begin < extents.seq; begin += slots) {
    visit(begin, std::min(begin + slots, extents.seq));
  }
}

}  // namespace kvtransfer::detail
