#pragma once

#include <ATen/core/Tensor.h>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/cache/cache_view.hpp"
#include "kvtransfer/cache/gather.hpp"
#include "kvtransfer/cache/slot_choice.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

namespace kvtransfer {

namespace detail {

/// The marked slots of every row of `kept`, as many as the fullest row has, behind -1 where a row has fewer.
/// @param kept bool, at least one axis, the last of them slots
[[nodiscard]] slot_choice marked_slots(const at::Tensor& kept);

}  // namespace detail

/// A new cache with the slots that are marked, in their order; nothing is moved. Rows and heads with fewer of them are
/// padded on the left, as texts are in a plan.
/// @param kept bool `[seq]`, `[batch, seq]` or `[batch, kv_heads, seq]`, any device
/// @throws shape_error for any other tensor
template <LayerLayout Layout>
[[nodiscard]] cache select_tokens(const cache_view<Layout>& source, const at::Tensor& kept) {
  require<shape_error>(kept.defined() && kept.scalar_type() == at::kBool && kept.dim() >= 1 && kept.dim() <= 3 &&
                           kept.size(-1) == source.size(),
                       "select_tokens", "kept",
                       formatted("bool [seq={0}], [batch, {0}] or [batch, kv_heads, {0}]", source.size()),
                       [&] { return describe(kept); });
  return gather(source, detail::marked_slots(kept));
}

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/select_tokens.ipp"  // IWYU pragma: export
#endif
