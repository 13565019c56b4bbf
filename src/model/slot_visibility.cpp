#include "model/slot_visibility.hpp"

#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>

#include <algorithm>

#include "kvtransfer/inject/attention_mask.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"

namespace kvtransfer::detail {

namespace {

bool has_no_padding(const position_map& positions) {
  return std::all_of(positions.rows().begin(), positions.rows().end(),
                     [](const position_row& row) { return row.key_count() == row.size(); });
}

}  // namespace

slot_visibility::slot_visibility(const std::vector<segment>& segments, std::int64_t batch, at::Device device)
    : batch_(batch), device_(device) {
  for (const segment& part : segments) {
    const bool all = has_no_padding(part.kv.frame().positions) && !part.visible.defined();
    add(part.kv.size(), all ? at::Tensor() : segment_visibility(part, device));
  }
}

void slot_visibility::append(const position_map& positions) {
  add(positions.size(), has_no_padding(positions) ? at::Tensor() : validity_tensor(positions, device_));
}

std::optional<at::Tensor> slot_visibility::mask(std::int64_t tokens, std::int64_t q_heads) const {
  if (!visible_.defined() && (tokens == 1 || is_causal(tokens))) {
    return std::nullopt;
  }
  return attention_mask(visible_.defined() ? visible_ : all_visible(slots_), tokens, q_heads);
}

at::Tensor slot_visibility::all_visible(std::int64_t slots) const {
  return at::ones({batch_, 1, slots}, at::TensorOptions().dtype(at::kBool).device(device_));
}

void slot_visibility::add(std::int64_t slots, at::Tensor more) {
  if (more.defined() || visible_.defined()) {
    more = more.defined() ? more : all_visible(slots);
    const at::Tensor before = visible_.defined() ? visible_ : all_visible(slots_);
    const std::int64_t heads = std::max(before.size(1), more.size(1));
    visible_ = at::cat({before.expand({-1, heads, -1}), more.expand({-1, heads, -1})}, 2);
  }
  slots_ += slots;
}

}  // namespace kvtransfer::detail
