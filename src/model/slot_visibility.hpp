#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "kvtransfer/core/position_map.hpp"
#include "kvtransfer/inject/plan.hpp"
#include "model/attention.hpp"
#include "model/block_attention.hpp"

namespace kvtransfer::detail {

/// Which slots of a layer queries may see, kept while the layer grows. While every slot is visible and no window bites
/// there is no tensor at all, and attention runs without a mask.
class slot_visibility {
 public:
  /// The injected slots of one layer.
  /// @param window how many keys a query of this layer sees, see `attention_specification`
  slot_visibility(const std::vector<segment>& segments, std::optional<std::int64_t> window, std::int64_t batch,
                  at::Device device);

  /// Adds the slots of `positions`, whose padding nobody sees.
  void append(const position_map& positions);

  /// What `tokens` queries at the end see: a mask where neither each sees all there is, nor plain causal attention does
  /// the same.
  [[nodiscard]] visible_keys seen_by(std::int64_t tokens, std::int64_t q_heads) const;

  /// Elements of the mask that `seen_by` would make; 0 where it needs none.
  [[nodiscard]] std::int64_t mask_elements(std::int64_t tokens) const;

  /// What queries at the end see, for attention that makes its own masks, block by block.
  [[nodiscard]] visible_slots told_without_mask() const;

 private:
  /// Whether a window hides a slot from the last query.
  [[nodiscard]] bool window_bites() const { return window_ && *window_ < slots_; }

  /// bool `[batch, kv_heads or 1, slots]` that grows; no tensor while all are true.
  struct growing_mask {
    at::Tensor values;

    void add(std::int64_t before, std::int64_t more, const at::Tensor& added, const at::TensorOptions& options,
             std::int64_t batch);
  };

  /// @param visible bool `[batch, kv_heads or 1, slots]`; undefined where all are visible
  void add(std::int64_t slots, const at::Tensor& visible);

  /// bool `[batch, kv_heads or 1, tokens, slots]`: slots that lie in the window of each of the last tokens.
  [[nodiscard]] at::Tensor in_window(std::int64_t tokens) const;

  std::optional<std::int64_t> window_;
  std::int64_t batch_;
  at::Device device_;
  std::int64_t slots_ = 0;
  growing_mask visible_;  // what a window counts too: a hidden slot is padding in the cache that is left
};

}  // namespace kvtransfer::detail
