#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_set>

#include "kvtransfer/cache/slot_choice.hpp"
#include "kvtransfer/core/cache_extents.hpp"
#include "kvtransfer/core/compiled.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"

namespace kvtransfer {

KVTRANSFER_INLINE slot_choice::slot_choice(const at::Tensor& slots) {
  require<shape_error>(slots.defined() && slots.dim() >= 1 && slots.dim() <= 3 &&
                           (slots.scalar_type() == at::kLong || slots.scalar_type() == at::kInt),
                       "slot_choice", "slots", "int32 or int64 [n], [batch, n] or [batch, kv_heads, n]",
                       [&] { return describe(slots); });
  const at::Tensor host = slots.to(at::kCPU, at::kLong);
  slots_ = host.dim() == 1 ? host.view({1, 1, -1}) : host.dim() == 2 ? host.unsqueeze(1) : host;
  slots_ = slots_.contiguous();
}

KVTRANSFER_INLINE std::int64_t slot_choice::at(std::int64_t batch, std::int64_t head, std::int64_t index) const {
  const std::int64_t row = (by_sequence() ? batch : 0) * heads() + (by_head() ? head : 0);
  return slots_.const_data_ptr<std::int64_t>()[row * count() + index];
}

KVTRANSFER_INLINE bool slot_choice::has_padding() const {
  return count() > 0 && slots_.numel() > 0 && slots_.min().item<std::int64_t>() < 0;
}

KVTRANSFER_INLINE std::optional<std::int64_t> slot_choice::first_doubled() const {
  for (std::int64_t batch = 0; batch < slots_.size(0); ++batch) {
    for (std::int64_t head = 0; head < heads(); ++head) {
      std::unordered_set<std::int64_t> taken;
      for (std::int64_t i = 0; i < count(); ++i) {
        const std::int64_t slot = at(batch, head, i);
        if (slot >= 0 && !taken.insert(slot).second) {
          return slot;
        }
      }
    }
  }
  return std::nullopt;
}

KVTRANSFER_INLINE void slot_choice::require_within(const cache_extents& extents, std::string_view where) const {
  const bool rows_fit = slots_.size(0) == 1 || slots_.size(0) == extents.batch;
  const bool heads_fit = slots_.size(1) == 1 || slots_.size(1) == extents.kv_heads;
  require<shape_error>(rows_fit && heads_fit, where, "slots",
                       formatted("[batch={}, kv_heads={} or 1, n]", extents.batch, extents.kv_heads),
                       [&] { return describe(slots_); });
  if (slots_.numel() > 0) {
    const auto least = slots_.min().item<std::int64_t>();
    const auto most = slots_.max().item<std::int64_t>();
    require<shape_error>(least >= -1 && most < extents.seq, where, "slots",
                         formatted("0 <= slot < {}, or -1", extents.seq), formatted("{}", least < -1 ? least : most));
  }
}

}  // namespace kvtransfer
