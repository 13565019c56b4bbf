#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <utility>

#include "kvtransfer/model/config.hpp"
#include "kvtransfer/rope/angles.hpp"
#include "model/slot_buffers.hpp"

namespace kvtransfer::detail {

/// The type that a batch keeps keys and values in on a device: the model's own where kernels widen what they read, else
/// one that no sum suffers from. What is kept are the model's own numbers either way.
[[nodiscard]] at::ScalarType slot_type(const model_config& config, at::ScalarType dtype, at::Device device);

/// Whether kernels keep and attend for a model of that type: then nothing of a step depends on what the host knows of
/// prefixes and tails.
[[nodiscard]] bool attends_by_kernels(const model_config& config, at::ScalarType dtype, at::Device device);

/// What one step attends with. Masks that several layers share are made once.
class slot_attention {
 public:
  /// @param rows must outlive it
  slot_attention(const model_config& config, const step_rows& rows) : config_(&config), rows_(&rows) {}

  /// Rotates fresh queries and keys and fills the tokens' slots.
  /// @param q, k, v `[rows, heads, head_dim]`; q may be rotated where it lies
  /// @param table `[1, 1, places, rotary_dim/2]`; undefined where the layer does not rotate
  /// @return the rotated queries
  [[nodiscard]] at::Tensor keep(const layer_buffers& buffers, const at::Tensor& q, const at::Tensor& k,
                                const at::Tensor& v, const rope::cos_sin& table,
                                const rotary_specification& rotary) const;

  /// What each row's query sees of its prefix and its tail, the slot just filled included.
  /// @param q `[rows, q_heads, head_dim]`, rotated @return alike
  [[nodiscard]] at::Tensor attend(std::int64_t layer, const layer_buffers& buffers, const prefix_slots& slots,
                                  const at::Tensor& q);

 private:
  [[nodiscard]] at::Tensor attend_in_products(const attention_specification& how, const layer_buffers& buffers,
                                              const prefix_slots& slots, const at::Tensor& q);
  /// bool `[groups, heads, members, 1, prefix + tail]`: what each sequence's query does not see.
  [[nodiscard]] const at::Tensor& hidden(const attention_specification& how, const prefix_slots& slots,
                                         std::int64_t members);

  const model_config* config_;
  const step_rows* rows_;
  std::map<std::pair<const prefix_slots*, std::int64_t>, at::Tensor> hidden_;  // by slots and window
};

}  // namespace kvtransfer::detail
