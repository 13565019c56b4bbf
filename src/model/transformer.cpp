#include "model/transformer.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/silu.h>

#include <optional>

namespace kvtransfer::detail {

namespace transformer {

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const at::ScalarType compute = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor wide = x.to(compute);
  const at::Tensor normed = wide * at::rsqrt(wide.square().mean(-1, true) + eps);
  return weight * normed.to(x.scalar_type());
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return at::linear(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
}

at::Tensor split_heads(const at::Tensor& x, std::int64_t head_dim) {
  return x.unflatten(-1, {-1, head_dim}).transpose(1, 2);
}

at::Tensor mlp(const at::Tensor& x, const layer_weights& layer) {
  const at::Tensor gate = at::silu(linear(x, layer.gate_proj, layer.gate_bias));
  return linear(gate * linear(x, layer.up_proj, layer.up_bias), layer.down_proj, layer.down_bias);
}

}  // namespace transformer

at::Tensor vocabulary_logits(const model_weights& weights, const at::Tensor& hidden) {
  return at::linear(hidden, weights.lm_head.defined() ? weights.lm_head : weights.embed_tokens);
}

}  // namespace kvtransfer::detail
