#include "kvtransfer/model/causal_logits.hpp"

#include <ATen/ops/arange.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kvtransfer/core/position_map.hpp"
#include "model/attention.hpp"
#include "model/plan_checks.hpp"
#include "model/rotary_tables.hpp"
#include "model/transformer.hpp"

namespace kvtransfer {

at::Tensor causal_logits(const model_config& config, const model_weights& weights, const at::Tensor& token_ids) {
  const std::int64_t seq = token_ids.size(1);
  detail::require_positions_known(config, position_map::consecutive(0, seq));
  const std::vector<rotary_specification> rotary = rotary_specifications(config, seq);
  const at::Tensor positions = at::arange(seq, token_ids.options()).view({1, 1, 1, seq});
  const detail::rotary_tables tables(rotary, positions, weights.embed_tokens.scalar_type());
  const auto attend = [&](std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    const attention_specification& how = config.attention[static_cast<std::size_t>(layer)];
    return detail::attend(how, q, k, v, detail::causal_keys(seq, how.window, q.device()));
  };
  return detail::vocabulary_logits(config, weights,
                                   detail::hidden_states(config, weights, token_ids, rotary, tables, attend));
}

}  // namespace kvtransfer
