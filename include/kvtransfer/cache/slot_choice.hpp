#pragma once

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "kvtransfer/core/cache_extents.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/tensor/checks.hpp"
#include "kvtransfer/tensor/integers.hpp"

namespace kvtransfer {

/// Which slots of a layer are meant, in order: the same for every row, each row's own, or each row's and head's own.
///
/// -1 stands for padding, so that rows and heads may have different numbers of slots.
class slot_choice {
 public:
  /// The same slots of every row and head.
  slot_choice(const std::vector<std::int64_t>& slots) : slots_(integer_tensor(slots, at::kCPU).view({1, 1, -1})) {}

  /// @param slots int32 or int64 `[n]`, `[batch, n]` or `[batch, kv_heads, n]`, any device
  /// @throws shape_error for any other tensor
  slot_choice(const at::Tensor& slots) {
    require<shape_error>(slots.defined() && slots.dim() >= 1 && slots.dim() <= 3 &&
                             (slots.scalar_type() == at::kLong || slots.scalar_type() == at::kInt),
                         "slot_choice", "slots", "int32 or int64 [n], [batch, n] or [batch, kv_heads, n]",
                         [&] { return describe(slots); });
    const at::Tensor host = slots.to(at::kCPU, at::kLong);
    slots_ = host.dim() == 1 ? host.view({1, 1, -1}) : host.dim() == 2 ? host.unsqueeze(1) : host;
    slots_ = slots_.contiguous();
  }

  /// Slots chosen, padding included.
  [[nodiscard]] std::int64_t count() const { return slots_.size(2); }
  /// Whether each row has a choice of its own.
  [[nodiscard]] bool by_sequence() const { return slots_.size(0) > 1; }
  /// Whether each head has a choice of its own.
  [[nodiscard]] bool by_head() const { return slots_.size(1) > 1; }
  /// Heads with a choice of their own; 1 where all share one.
  [[nodiscard]] std::int64_t heads() const { return slots_.size(1); }

  /// int64 on the host, `[batch or 1, kv_heads or 1, n]`.
  [[nodiscard]] const at::Tensor& tensor() const { return slots_; }

  /// Slot `index` of a row and head; -1 for padding.
  [[nodiscard]] std::int64_t at(std::int64_t batch, std::int64_t head, std::int64_t index) const {
    const std::int64_t row = (by_sequence() ? batch : 0) * heads() + (by_head() ? head : 0);
    return slots_.const_data_ptr<std::int64_t>()[row * count() + index];
  }

  /// Whether any entry is padding.
  [[nodiscard]] bool has_padding() const {
    return count() > 0 && slots_.numel() > 0 && slots_.min().item<std::int64_t>() < 0;
  }

  /// A slot that one row and head is to have twice; nothing where there is none.
  [[nodiscard]] std::optional<std::int64_t> first_doubled() const {
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

  /// @throws shape_error unless every slot lies in a layer of `extents`, and rows and heads are those of the layer
  void require_within(const cache_extents& extents, std::string_view where) const {
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

 private:
  at::Tensor slots_;
};

}  // namespace kvtransfer
