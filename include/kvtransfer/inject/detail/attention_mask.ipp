#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>

#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/attention_mask.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/operations.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"

namespace kvtransfer::detail {

KVTRANSFER_INLINE void require_visibility_fits(const segment& part) {
  const cache_extents extents = part.kv().extents();
  const at::Tensor& shown = part.visible;
  const bool heads_fit = shown.dim() == 3 && (shown.size(1) == 1 || shown.size(1) == extents.kv_heads);
  if (!heads_fit || shown.scalar_type() != at::kBool || shown.size(0) != extents.batch ||
      shown.size(2) != extents.seq) {
    fail<shape_error>("plan", "visible",
                      fmt::format("bool [batch={}, {} or 1, seq={}]", extents.batch, extents.kv_heads, extents.seq),
                      describe(shown));
  }
}

}  // namespace kvtransfer::detail

namespace kvtransfer {

KVTRANSFER_INLINE at::Tensor segment_visibility(const segment& part, at::Device device) {
  at::Tensor valid = validity_tensor(part.kv().frame().positions, device);
  if (!part.visible.defined()) {
    return valid;
  }
  detail::require_visibility_fits(part);
  return valid.logical_and(part.visible.to(device));
}

KVTRANSFER_INLINE at::Tensor attention_mask(const at::Tensor& visible, std::int64_t tokens, std::int64_t q_heads) {
  const std::int64_t slots = visible.size(2);
  if (slots < tokens || q_heads % visible.size(1) != 0) {
    fail<shape_error>("attention_mask", "visible",
                      fmt::format("[batch, a divisor of {}, {} slots or more]", q_heads, tokens), describe(visible));
  }
  const at::Tensor query = detail::counted(slots - tokens, slots, visible.device()).unsqueeze(1);
  const at::Tensor slot = detail::counted(0, slots, visible.device()).unsqueeze(0);
  const at::Tensor seen = visible.unsqueeze(2).logical_and(slot.le(query));
  const at::Tensor mask = seen.logical_or(slot.eq(query));
  return mask.size(1) == 1 ? mask : mask.repeat_interleave(q_heads / mask.size(1), 1);
}

}  // namespace kvtransfer
