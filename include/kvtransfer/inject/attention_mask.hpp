#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"

namespace kvtransfer {

namespace detail {

/// @throws shape_error if what a plan shows of a segment does not fit it
void require_visibility_fits(const segment& part);

}  // namespace detail

/// Which slots of a segment a query may see: bool `[batch, kv_heads or 1, seq]`, what the plan shows less padding.
/// @throws shape_error if the plan's own visibility does not fit the segment
at::Tensor segment_visibility(const segment& part, at::Device device);

/// The mask of `tokens` new queries that stand at the end of `visible`: each sees the visible slots before it, and
/// itself always (a padding query sees nothing else; its output is not used, but must not be NaN).
/// @param visible bool `[batch, kv_heads or 1, slots]`, the new tokens' own slots included
/// @return bool `[batch, q_heads or 1, tokens, slots]`
/// @throws shape_error if there are fewer slots than tokens, or q_heads do not share kv_heads evenly
at::Tensor attention_mask(const at::Tensor& visible, std::int64_t tokens, std::int64_t q_heads);

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/inject/detail/attention_mask.ipp"  // IWYU pragma: export
#endif
