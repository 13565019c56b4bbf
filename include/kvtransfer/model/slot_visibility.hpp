#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/inject/attention_mask.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"

namespace kvtransfer {

/// Which slots of a layer queries may see, kept while the layer grows. While every slot is visible there is no tensor
/// at all, and attention runs without a mask.
class slot_visibility {
 public:
  /// The injected slots of one layer.
  slot_visibility(const std::vector<segment>& segments, std::int64_t batch, at::Device device)
      : batch_(batch), device_(device) {
    for (const segment& part : segments) {
      const bool all = has_no_padding(part.kv.frame().positions) && !part.visible.defined();
      add(part.kv.size(), all ? at::Tensor() : segment_visibility(part, device));
    }
  }

  /// Adds the slots of `positions`, whose padding nobody sees.
  void append(const position_map& positions) {
    add(positions.size(), has_no_padding(positions) ? at::Tensor() : validity_tensor(positions, device_));
  }

  /// The mask for `tokens` queries at the end; nothing where each sees all there is, or plain causal attention does the
  /// same.
  std::optional<at::Tensor> mask(std::int64_t tokens, std::int64_t q_heads) const {
    if (!visible_.defined() && (tokens == 1 || is_causal(tokens))) {
      return std::nullopt;
    }
    return attention_mask(visible_.defined() ? visible_ : all_visible(slots_), tokens, q_heads);
  }

  /// True where the new tokens are all there is: only then do queries and keys align for scaled_dot_product_attention's
  /// `is_causal`.
  bool is_causal(std::int64_t tokens) const { return !visible_.defined() && tokens > 1 && slots_ == tokens; }

 private:
  static bool has_no_padding(const position_map& positions) {
    return std::all_of(positions.rows().begin(), positions.rows().end(),
                       [](const position_row& row) { return row.key_count() == row.size(); });
  }

  at::Tensor all_visible(std::int64_t slots) const {
    return at::ones({batch_, 1, slots}, at::TensorOptions().dtype(at::kBool).device(device_));
  }

  /// @param more bool `[batch, kv_heads or 1, slots]`; undefined where all are visible
  void add(std::int64_t slots, at::Tensor more) {
    if (more.defined() || visible_.defined()) {
      more = more.defined() ? more : all_visible(slots);
      const at::Tensor before = visible_.defined() ? visible_ : all_visible(slots_);
      const std::int64_t heads = std::max(before.size(1), more.size(1));
      visible_ = at::cat({before.expand({-1, heads, -1}), more.expand({-1, heads, -1})}, 2);
    }
    slots_ += slots;
  }

  std::int64_t batch_;
  at::Device device_;
  std::int64_t slots_ = 0;
  at::Tensor visible_;
};

}  // namespace kvtransfer
