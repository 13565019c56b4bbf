#include "model/attention.hpp"

#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>

#include <limits>

#include "model/without_cudnn_attention.hpp"

namespace kvtransfer::detail {

namespace {

/// Weights `[batch, kv_heads, group, queries, keys]`. Queries that share a KV head stand side by side, so that no key
/// is copied.
at::Tensor grouped_weights(const attention_specification& how, const at::Tensor& q, const at::Tensor& k,
                           const visible_keys& seen) {
  const std::int64_t kv_heads = k.size(1);
  const at::Tensor grouped = q.unflatten(1, {kv_heads, q.size(1) / kv_heads});
  at::Tensor scores = capped(at::matmul(grouped, k.unsqueeze(2).transpose(-2, -1)) * how.scale, how.softcap);
  const visible_keys all =
      seen.mask || !seen.causal ? seen : visible_keys{causal_mask(k.size(2), {}, k.device()), false};
  if (all.mask) {
    const at::Tensor& mask = *all.mask;
    const at::Tensor shown = mask.size(1) == 1 ? mask.unsqueeze(2) : mask.unflatten(1, {kv_heads, -1});
    scores = scores.masked_fill(shown.logical_not(), -std::numeric_limits<double>::infinity());
  }
  return at::softmax(scores, -1, at::toOpMathType(q.scalar_type()));
}

/// Step by step, for scores that are changed between product and softmax.
at::Tensor attend_with_cap(const attention_specification& how, const at::Tensor& q, const at::Tensor& k,
                           const at::Tensor& v, const visible_keys& seen) {
  const at::Tensor weights = grouped_weights(how, q, k, seen).to(q.scalar_type());
  return at::matmul(weights, v.unsqueeze(2)).flatten(1, 2);
}

}  // namespace

at::Tensor attention_weights(const attention_specification& how, const at::Tensor& q, const at::Tensor& k,
                             const visible_keys& seen) {
  return grouped_weights(how, q, k, seen).flatten(1, 2);
}

at::Tensor capped(const at::Tensor& x, std::optional<double> cap) { return cap ? at::tanh(x / *cap) * *cap : x; }

at::Tensor causal_mask(std::int64_t seq, std::optional<std::int64_t> window, at::Device device) {
  at::Tensor mask = at::ones({1, 1, seq, seq}, at::TensorOptions().dtype(at::kBool).device(device)).tril();
  return window && *window < seq ? mask.triu(1 - *window) : mask;
}

visible_keys causal_keys(std::int64_t seq, std::optional<std::int64_t> window, at::Device device) {
  if (window && *window < seq) {
    return {causal_mask(seq, window, device), false};
  }
  return {std::nullopt, true};
}

at::Tensor attend(const attention_specification& how, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                  const visible_keys& seen) {
  if (how.softcap) {
    return attend_with_cap(how, q, k, v, seen);
  }
  const without_cudnn_attention guard(q.is_cuda());
  return at::scaled_dot_product_attention(q, k, v, seen.mask, 0.0, seen.causal, how.scale, true);
}

}  // namespace kvtransfer::detail
