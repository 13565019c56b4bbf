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

at::Tensor all_true(std::int64_t batch, std::int64_t slots, const at::TensorOptions& options) {
  return at::ones({batch, 1, slots}, options);
}

/// `[batch, heads, …]` of KV heads, or of one for all, as query heads see it.
at::Tensor for_query_heads(const at::Tensor& mask, std::int64_t q_heads) {
  return mask.size(1) == 1 ? mask : mask.repeat_interleave(q_heads / mask.size(1), 1);
}

}  // namespace

slot_visibility::slot_visibility(const std::vector<segment>& segments, std::optional<std::int64_t> window,
                                 std::int64_t batch, at::Device device)
    : window_(window), batch_(batch), device_(device) {
  for (const segment& part : segments) {
    const bool all = has_no_padding(part.kv().frame().positions) && !part.visible.defined();
    add(part.kv().size(), all ? at::Tensor() : segment_visibility(part, device));
  }
}

void slot_visibility::append(const position_map& positions) {
  add(positions.size(), has_no_padding(positions) ? at::Tensor() : validity_tensor(positions, device_));
}

std::int64_t slot_visibility::mask_elements(std::int64_t tokens) const {
  const bool plain = !visible_.values.defined() && !window_bites() && (tokens == 1 || slots_ == tokens);
  const std::int64_t rows = visible_.values.defined() ? visible_.values.size(0) * visible_.values.size(1) : 1;
  return plain ? 0 : rows * tokens * slots_;
}

visible_slots slot_visibility::told_without_mask() const {
  visible_slots told{visible_.values, window_bites() ? window_ : std::nullopt};
  if (told.visible.defined() && told.window) {
    told.ordinals = told.visible.cumsum(2);
  }
  return told;
}

visible_keys slot_visibility::seen_by(std::int64_t tokens, std::int64_t q_heads) const {
  if (mask_elements(tokens) == 0) {
    return {std::nullopt, tokens > 1};
  }
  const at::TensorOptions options = at::TensorOptions().dtype(at::kBool).device(device_);
  const at::Tensor visible = visible_.values.defined() ? visible_.values : all_true(batch_, slots_, options);
  const at::Tensor mask = attention_mask(visible, tokens, q_heads);
  return {window_bites() ? mask.logical_and(for_query_heads(in_window(tokens), q_heads)) : mask, false};
}

at::Tensor slot_visibility::in_window(std::int64_t tokens) const {
  const at::TensorOptions options = at::TensorOptions().dtype(at::kBool).device(device_);
  const at::Tensor visible = visible_.values.defined() ? visible_.values : all_true(1, slots_, options);
  const at::Tensor ordinal = visible.cumsum(2);  // a key's number among those seen; others have that of the one before
  const at::Tensor query = ordinal.slice(2, slots_ - tokens).unsqueeze(3);
  return ordinal.unsqueeze(2).gt(query.sub(*window_));
}

void slot_visibility::growing_mask::add(std::int64_t before, std::int64_t more, const at::Tensor& added,
                                        const at::TensorOptions& options, std::int64_t batch) {
  if (!added.defined() && !values.defined()) {
    return;
  }
  const at::Tensor first = values.defined() ? values : all_true(batch, before, options);
  const at::Tensor last = added.defined() ? added : all_true(batch, more, options);
  const std::int64_t heads = std::max(first.size(1), last.size(1));
  values = at::cat({first.expand({-1, heads, -1}), last.expand({-1, heads, -1})}, 2);
}

void slot_visibility::add(std::int64_t slots, const at::Tensor& visible) {
  visible_.add(slots_, slots, visible, at::TensorOptions().dtype(at::kBool).device(device_), batch_);
  slots_ += slots;
}

}  // namespace kvtransfer::detail
