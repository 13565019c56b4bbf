#include "model/plan_pass.hpp"

#include <ATen/ops/cat.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include "kvtransfer/tensor/position_tensor.hpp"
#include "model/plan_checks.hpp"
#include "model/rotary_tables.hpp"
#include "model/slot_visibility.hpp"
#include "model/transformer.hpp"

namespace kvtransfer::detail {

namespace {

/// A layer's injected keys (or values) in front of its new ones, joined without writing into either.
template <class Select>
at::Tensor behind_segments(std::span<const segment> segments, const at::Tensor& fresh, Select&& select) {
  std::vector<at::Tensor> parts;
  for (const segment& part : segments) {
    parts.push_back(select(part.kv()));
  }
  parts.push_back(fresh);
  return parts.size() == 1 ? fresh : at::cat(parts, 2);
}

}  // namespace

std::int64_t reach_of(const plan& input) {
  std::int64_t reach = 0;
  for (const position_row& row : input.positions.rows()) {
    reach = std::max(reach, row.last_position().value_or(-1) + 1);
  }
  return reach;
}

at::Tensor plan_states(const causal_lm& model, const plan& input, const attention_observer& observe) {
  require_runnable(model, input);
  const std::vector<rotary_specification> rotary = rotary_specifications(model.config, reach_of(input));
  const rotary_tables tables(rotary, position_tensor(input.positions, model.device()), model.dtype());
  const auto attend = [&](std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    const std::vector<segment>& segments = input.segments(layer);
    const attention_specification& how = model.config.attention[static_cast<std::size_t>(layer)];
    slot_visibility visibility(segments, how.window, input.batch(), model.device());
    visibility.append(input.positions);
    const visible_keys seen = visibility.seen_by(input.size(), model.config.q_heads);
    const shared_prefix prefix = shared_prefix_of(segments);
    const auto own = std::span(segments).subspan(prefix.segments);
    const at::Tensor keys = behind_segments(own, k, [](const layer_view<>& kv) { return kv.keys(); });
    const at::Tensor values = behind_segments(own, v, [](const layer_view<>& kv) { return kv.values(); });
    if (observe) {
      observe({layer, how, q, k, v, prefix, keys, seen});
    }
    return attend_behind(how, prefix, q, keys, values, seen);
  };
  const at::Tensor tokens = token_tensor(input.token_ids, 0, model.device());
  return hidden_states(model.config, model.weights, tokens, rotary, tables, attend);
}

}  // namespace kvtransfer::detail
