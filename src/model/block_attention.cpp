#include "model/block_attention.hpp"

#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/maximum.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <algorithm>
#include <limits>

#include "model/attention.hpp"

namespace kvtransfer::detail {

namespace {

constexpr double unseen_score = -std::numeric_limits<double>::infinity();

constexpr std::int64_t queries_a_block = 256;
constexpr std::int64_t keys_a_block = 2048;

/// Neighbouring slots.
struct slot_block {
  std::int64_t begin;
  std::int64_t end;
};

/// What one block of queries has made of the keys so far; rows `[batch, kv_heads, shared · queries, …]`.
struct running_softmax {
  at::Tensor highest;  // of the scores
  at::Tensor sum;      // of the weights relative to it
  at::Tensor context;  // of the values so weighted

  void add(const at::Tensor& scores, const at::Tensor& values) {
    const at::Tensor now = at::maximum(highest, scores.amax(-1, true));
    const at::Tensor base = now.masked_fill(now.eq(unseen_score), 0);  // of a row that sees nothing yet
    const at::Tensor kept = highest.sub(base).exp_();
    const at::Tensor weights = scores.sub(base).exp_();
    sum.mul_(kept).add_(weights.sum(-1, true));
    context.mul_(kept).add_(at::matmul(weights, values));
    highest = now;
  }
};

/// bool `[batch or 1, kv_heads or 1, 1, queries, keys]`: what a block's queries see of a block's keys; nothing where
/// they see all.
std::optional<at::Tensor> shown(const visible_slots& seen, const slot_block& queries, const slot_block& keys,
                                at::Device device) {
  const bool reaches_own = keys.end - 1 > queries.begin;
  const bool leaves_window = seen.window && (seen.ordinals.defined() || keys.begin <= queries.end - 1 - *seen.window);
  if (!reaches_own && !leaves_window && !seen.visible.defined()) {
    return std::nullopt;
  }
  const at::TensorOptions whole = at::TensorOptions().dtype(at::kLong).device(device);
  const at::Tensor query = at::arange(queries.begin, queries.end, whole).unsqueeze(1);
  const at::Tensor key = at::arange(keys.begin, keys.end, whole);
  at::Tensor mask = key.le(query).unsqueeze(0).unsqueeze(0);
  if (seen.visible.defined()) {
    mask = mask.logical_and(seen.visible.slice(2, keys.begin, keys.end).unsqueeze(2)).logical_or(key.eq(query));
  }
  if (leaves_window) {
    const auto number = [&](const slot_block& block) {
      return seen.ordinals.defined() ? seen.ordinals.slice(2, block.begin, block.end)
                                     : at::arange(block.begin, block.end, whole).view({1, 1, -1});
    };
    mask = mask.logical_and(number(keys).unsqueeze(2).gt(number(queries).unsqueeze(3).sub(*seen.window)));
  }
  return mask.unsqueeze(2);
}

/// Whether no query of a block sees any of a block's keys.
bool is_unseen(const visible_slots& seen, const slot_block& queries, const slot_block& keys) {
  // A slot holds at most as many keys as there are slots up to it, so a window over fewer keys reaches further back.
  const bool behind_window = seen.window && !seen.ordinals.defined() && keys.end - 1 <= queries.begin - *seen.window;
  return keys.begin >= queries.end || behind_window;
}

}  // namespace

at::Tensor attend_in_blocks(const attention_specification& how, const shared_prefix& prefix, const at::Tensor& q,
                            const at::Tensor& k, const at::Tensor& v, const visible_slots& seen) {
  const at::ScalarType wide = at::toOpMathType(q.scalar_type());
  const std::int64_t batch = q.size(0);
  const std::int64_t kv_heads = k.size(1);
  const std::int64_t shared = q.size(1) / kv_heads;
  const std::int64_t slots = prefix.size() + k.size(2);
  const std::int64_t first = slots - q.size(2);  // the slot of the first query
  at::Tensor result = at::zeros_like(q);
  for (std::int64_t begin = 0; begin < q.size(2); begin += queries_a_block) {
    const std::int64_t end = std::min(begin + queries_a_block, q.size(2));
    const slot_block queries{first + begin, first + end};
    const at::Tensor rows = q.slice(2, begin, end).to(wide).unflatten(1, {kv_heads, shared}).flatten(2, 3);
    const at::TensorOptions options = rows.options();
    running_softmax running{at::full({batch, kv_heads, rows.size(2), 1}, unseen_score, options),
                            at::zeros({batch, kv_heads, rows.size(2), 1}, options), at::zeros_like(rows)};
    const auto add = [&](const slot_block& block, const at::Tensor& keys, const at::Tensor& values) {
      if (is_unseen(seen, queries, block)) {
        return;
      }
      at::Tensor scores = at::matmul(rows, keys.to(wide).transpose(-2, -1)).mul_(how.scale);
      scores = capped(scores, how.softcap);
      if (const std::optional<at::Tensor> mask = shown(seen, queries, block, q.device())) {
        scores =
            scores.unflatten(2, {shared, end - begin}).masked_fill_(mask->logical_not(), unseen_score).flatten(2, 3);
      }
      running.add(scores, values.to(wide));
    };
    for (std::int64_t from = 0; from < prefix.size(); from += keys_a_block) {
      const std::int64_t to = std::min(from + keys_a_block, prefix.size());
      add({from, to}, prefix.keys.slice(2, from, to), prefix.values.slice(2, from, to));
    }
    for (std::int64_t from = 0; from < k.size(2) && prefix.size() + from < queries.end; from += keys_a_block) {
      const std::int64_t to = std::min({from + keys_a_block, k.size(2), queries.end - prefix.size()});
      add({prefix.size() + from, prefix.size() + to}, k.slice(2, from, to), v.slice(2, from, to));
    }
    const at::Tensor context = running.context.div_(running.sum);
    result.slice(2, begin, end).copy_(context.unflatten(2, {shared, end - begin}).flatten(1, 2));
  }
  return result;
}

}  // namespace kvtransfer::detail
