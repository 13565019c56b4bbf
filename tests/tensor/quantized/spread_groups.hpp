#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "kvtransfer/tensor/detail/codes.hpp"

namespace kvtransfer::test {

/// What every element's group has.
/// @param per_group as `scales`
/// @return `[batch, kv_heads, seq, head_dim]`
inline at::Tensor spread_groups(const at::Tensor& per_group, const quantization& scheme, const slot_groups& groups) {
  const bool per_channel = scheme.is_per_channel();
  const at::Tensor spread =
      at::empty({per_group.size(0), per_group.size(1), per_channel ? groups.size() : per_group.size(2),
                 per_channel ? per_group.size(3) : per_group.size(3) * scheme.group_size},
                per_group.options());
  for (const detail::equal_groups& some : detail::groups_by_length(scheme, groups)) {
    some.of_elements(spread).copy_(some.of_groups(per_group));
  }
  return spread;
}

}  // namespace kvtransfer::test
