#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/inject/plan.hpp"

namespace kvtransfer::detail {

/// Which slots of a layer queries may see, kept while the layer grows. While every slot is visible there is no tensor
/// at all, and attention runs without a mask.
class slot_visibility {
 public:
  /// The injected slots of one layer.
  slot_visibility(const std::vector<segment>& segments, std::int64_t batch, at::Device device);

  /// Adds the slots of `positions`, whose padding nobody sees.
  void append(const position_map& positions);

  /// The mask for `tokens` queries at the end; nothing where each sees all there is, or plain causal attention does the
  /// same.
  [[nodiscard]] std::optional<at::Tensor> mask(std::int64_t tokens, std::int64_t q_heads) const;

  /// True where the new tokens are all there is: only then do queries and keys align for scaled_dot_product_attention's
  /// `is_causal`.
  [[nodiscard]] bool is_causal(std::int64_t tokens) const {
    return !visible_.defined() && tokens > 1 && slots_ == tokens;
  }

 private:
  [[nodiscard]] at::Tensor all_visible(std::int64_t slots) const;

  /// @param more bool `[batch, kv_heads or 1, slots]`; undefined where all are visible
  void add(std::int64_t slots, at::Tensor more);

  std::int64_t batch_;
  at::Device device_;
  std::int64_t slots_ = 0;
  at::Tensor visible_;
};

}  // namespace kvtransfer::detail
