#include "model/shared_prefix.hpp"

#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>

namespace kvtransfer::detail {

namespace {

/// Elements of scores that are held at a time: many queries behind a long prefix go in several turns.
constexpr std::int64_t most_scores_held = std::int64_t{1} << 24;

bool one_for_all(const at::Tensor& tensor) { return tensor.size(0) > 1 && tensor.stride(0) == 0; }

/// Of keys whose move is pending each sequence reads rotated ones of its own.
bool one_for_all(const layer_view<>& kv) {
  return !kv.has_pending_move() && one_for_all(kv.stored_keys()) && one_for_all(kv.stored_values());
}

template <class Select>
at::Tensor joined_rows(const std::vector<segment>& segments, std::size_t count, Select&& select) {
  std::vector<at::Tensor> rows;
  for (std::size_t i = 0; i < count; ++i) {
    rows.push_back(select(segments[i].kv()).narrow(0, 0, 1));
  }
  return rows.size() == 1 ? rows.front() : at::cat(rows, 2);
}

/// `[batch, kv_heads, n, …]` as `[kv_heads, batch · n, …]`, all sequences side by side.
at::Tensor side_by_side(const at::Tensor& x) { return x.transpose(0, 1).flatten(1, 2); }

/// And back.
at::Tensor by_sequence(const at::Tensor& x, std::int64_t batch) { return x.unflatten(1, {batch, -1}).transpose(0, 1); }

at::Tensor hidden_filled(const at::Tensor& scores, const at::Tensor& mask, std::int64_t group) {
  const std::int64_t kv_heads = scores.size(1);
  const at::Tensor shown = mask.size(1) == 1 ? mask.unsqueeze(2) : mask.unflatten(1, {kv_heads, group});
  const at::Tensor filled =
      scores.unflatten(2, {group, -1}).masked_fill(shown.logical_not(), -std::numeric_limits<double>::infinity());
  return filled.flatten(2, 3);
}

/// The same for queries whose scores fit into memory, everything in a type that no sum suffers from.
at::Tensor attend_at_once(const attention_specification& how, const shared_prefix& prefix, const at::Tensor& q,
                          const at::Tensor& k, const at::Tensor& v, const std::optional<at::Tensor>& mask) {
  const std::int64_t batch = q.size(0);
  const std::int64_t group = q.size(1) / k.size(1);
  const at::Tensor grouped = q.unflatten(1, {k.size(1), group}).flatten(2, 3);  // [batch, kv_heads, group · queries, …]
  const at::Tensor of_prefix = by_sequence(at::matmul(side_by_side(grouped), prefix.keys[0].transpose(-2, -1)), batch);
  at::Tensor scores =
      capped(at::cat({of_prefix, at::matmul(grouped, k.transpose(-2, -1))}, -1) * how.scale, how.softcap);
  scores = mask ? hidden_filled(scores, *mask, group) : scores;
  const at::Tensor weights = at::softmax(scores, -1);
  const at::Tensor from_prefix =
      by_sequence(at::matmul(side_by_side(weights.slice(-1, 0, prefix.size())), prefix.values[0]), batch);
  const at::Tensor context = from_prefix + at::matmul(weights.slice(-1, prefix.size()), v);
  return context.unflatten(2, {group, -1}).flatten(1, 2);
}

}  // namespace

shared_prefix shared_prefix_of(const std::vector<segment>& segments) {
  shared_prefix prefix;
  while (prefix.segments < segments.size() && one_for_all(segments[prefix.segments].kv())) {
    ++prefix.segments;
  }
  const auto slots = [](std::int64_t sum, const segment& part) { return sum + part.kv().size(); };
  const auto end = segments.begin() + static_cast<std::ptrdiff_t>(prefix.segments);
  if (std::accumulate(segments.begin(), end, std::int64_t{0}, slots) == 0) {
    return {};
  }
  prefix.keys = joined_rows(segments, prefix.segments, [](const layer_view<>& kv) { return kv.keys(); });
  prefix.values = joined_rows(segments, prefix.segments, [](const layer_view<>& kv) { return kv.values(); });
  return prefix;
}

at::Tensor attend_behind(const attention_specification& how, const shared_prefix& prefix, const at::Tensor& q,
                         const at::Tensor& k, const at::Tensor& v, const visible_keys& seen) {
  if (prefix.size() == 0) {
    return attend(how, q, k, v, seen);
  }
  const at::ScalarType wide = at::toOpMathType(q.scalar_type());
  const shared_prefix wide_prefix{prefix.segments, prefix.keys.to(wide), prefix.values.to(wide)};
  const at::Tensor wide_k = k.to(wide);
  const at::Tensor wide_v = v.to(wide);
  const std::int64_t a_query = q.size(0) * q.size(1) * (prefix.size() + k.size(2));
  const std::int64_t turn = std::max<std::int64_t>(most_scores_held / a_query, 1);
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < q.size(2); begin += turn) {
    const std::int64_t end = std::min(begin + turn, q.size(2));
    const std::optional<at::Tensor> shown = seen.mask ? std::optional(seen.mask->slice(2, begin, end)) : std::nullopt;
    parts.push_back(attend_at_once(how, wide_prefix, q.slice(2, begin, end).to(wide), wide_k, wide_v, shown));
  }
  return at::cat(parts, 2).to(q.scalar_type());
}

}  // namespace kvtransfer::detail
