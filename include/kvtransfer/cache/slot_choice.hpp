#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "kvtransfer/core/cache_extents.hpp"
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
  slot_choice(const at::Tensor& slots);

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
  [[nodiscard]] std::int64_t at(std::int64_t batch, std::int64_t head, std::int64_t index) const;

  /// Whether any entry is padding.
  [[nodiscard]] bool has_padding() const;

  /// A slot that one row and head is to have twice; nothing where there is none.
  [[nodiscard]] std::optional<std::int64_t> first_doubled() const;

  /// @throws shape_error unless every slot lies in a layer of `extents`, and rows and heads are those of the layer
  void require_within(const cache_extents& extents, std::string_view where) const;

 private:
  at::Tensor slots_;
};

}  // namespace kvtransfer

#ifndef KVTRANSFER_COMPILED
#include "kvtransfer/cache/detail/slot_choice.ipp"  // IWYU pragma: export
#endif
