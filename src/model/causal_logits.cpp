#include "kvtransfer/model/causal_logits.hpp"

#include <ATen/ops/arange.h>
#include <ATen/ops/scaled_dot_product_attention.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "model/rotary_tables.hpp"
#include "model/transformer.hpp"

namespace kvtransfer {

at::Tensor causal_logits(const model_config& config, const model_weights& weights, const at::Tensor& token_ids) {
  const std::int64_t seq = token_ids.size(1);
  const std::vector<rotary_specification> rotary = rotary_specifications(config, seq);
  const at::Tensor positions = at::arange(seq, token_ids.options()).view({1, 1, 1, seq});
  const detail::rotary_tables tables(rotary, positions, weights.embed_tokens.scalar_type());
  const auto attend = [](std::int64_t, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    return at::scaled_dot_product_attention(q, k, v, {}, 0.0, true, std::nullopt, true);
  };
  return detail::vocabulary_logits(weights, detail::hidden_states(config, weights, token_ids, rotary, tables, attend));
}

}  // namespace kvtransfer
