#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

#include "kvtransfer/model/config.hpp"
#include "model/shared_prefix.hpp"

namespace kvtransfer::detail {

/// What the queries of one forward pass see, told without a mask: they stand in the last of the slots, and each sees
/// those up to its own that are visible and, with a window, in it. A query sees itself whatever is said.
struct visible_slots {
  at::Tensor visible;                       ///< bool `[batch or 1, kv_heads or 1, slots]`; undefined: all
  std::optional<std::int64_t> window = {};  ///< how many keys a query sees, its own included

  /// Of a window over slots that are not all visible: a key's number among those seen, int64, like `visible`.
  at::Tensor ordinals = {};
};

/// `attend_behind` block by block, with a running maximum, so that neither scores nor a mask of all queries by all keys
/// ever exist: what it holds at a time does not grow with the keys. Not differentiable.
[[nodiscard]] at::Tensor attend_in_blocks(const attention_specification& how, const shared_prefix& prefix,
                                          const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                          const visible_slots& seen);

}  // namespace kvtransfer::detail
