#include "model/slot_attention.hpp"

#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include <limits>
#include <optional>

#include "kernels/decode/cached_attention.hpp"
#include "kvtransfer/tensor/kernel_table.hpp"
#include "model/attention.hpp"
#include "model/step_kernels.hpp"

namespace kvtransfer::detail {

namespace {

constexpr double hidden_score = -std::numeric_limits<double>::infinity();

using optional_tensor = std::optional<at::Tensor>;

/// Whether kernels keep and attend with these.
bool by_kernels(const model_config& config, const at::Tensor& q, const layer_buffers& buffers) {
  return q.scalar_type() == buffers.tail_keys.scalar_type() && attends_by_kernels(config, q.scalar_type(), q.device());
}

void put_into_tails(const at::Tensor& tails, const step_rows& rows, const at::Tensor& fresh) {
  c10::List<optional_tensor> where;
  where.push_back(rows.sequences);
  where.push_back(rows.lengths.index_select(0, rows.sequences));
  tails.transpose(1, 2).index_put_(where, fresh.to(tails.scalar_type()));  // [sequences, tail, kv_heads, head_dim]
}

/// `[rows, heads, head_dim]` rotated.
at::Tensor rotated(const at::Tensor& x, const rope::cos_sin& table, const step_rows& rows,
                   const rotary_specification& rotary) {
  if (!table.cos.defined()) {
    return x;
  }
  const at::Tensor cos = table.cos.index_select(2, rows.table_rows);
  const at::Tensor sin = table.sin.index_select(2, rows.table_rows);
  return rope::apply_rotary(x.transpose(0, 1).unsqueeze(0), cos, sin, rotary)[0].transpose(0, 1);
}

}  // namespace

bool attends_by_kernels(const model_config& config, at::ScalarType dtype, at::Device device) {
  const bool known = device.is_cuda() ? wants_gpu_kernels() &&
                                            (dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf) &&
                                            kernels::attends_on_gpu(config.head_dim)
                                      : dtype == at::kFloat || dtype == at::kBFloat16;
  return known && has_kernel("kvtransfer::decode_attention", device) && has_kernel("kvtransfer::keep_rotated_", device);
}

at::ScalarType slot_type(const model_config& config, at::ScalarType dtype, at::Device device) {
  return attends_by_kernels(config, dtype, device) ? dtype : at::toOpMathType(dtype);
}

at::Tensor slot_attention::keep(const layer_buffers& buffers, const at::Tensor& q, const at::Tensor& k,
                                const at::Tensor& v, const rope::cos_sin& table,
                                const rotary_specification& rotary) const {
  if (!by_kernels(*config_, q, buffers)) {
    put_into_tails(buffers.tail_keys, *rows_, rotated(k, table, *rows_, rotary));
    put_into_tails(buffers.tail_values, *rows_, v);
    return rotated(q, table, *rows_, rotary);
  }
  using signature = void(const at::Tensor&, const at::Tensor&, const at::Tensor&, const optional_tensor&,
                         const optional_tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                         const at::Tensor&, const at::Tensor&, std::int64_t, bool);
  static const auto called =
      c10::Dispatcher::singleton().findSchemaOrThrow("kvtransfer::keep_rotated_", "").typed<signature>();
  const auto flat = [](const at::Tensor& kept) {
    return kept.defined() ? optional_tensor(kept.flatten(0, 2)) : std::nullopt;
  };
  called.call(q, k, v, flat(table.cos), flat(table.sin), rows_->table_rows, rows_->sequences, rows_->lengths,
              buffers.tail_keys, buffers.tail_values, rotary.window_offset,
              rotary.pairing == rope::pairing::interleaved);
  return q;
}

at::Tensor slot_attention::attend(std::int64_t layer, const layer_buffers& buffers, const prefix_slots& slots,
                                  const at::Tensor& q) {
  const attention_specification& how = config_->attention[static_cast<std::size_t>(layer)];
  if (!by_kernels(*config_, q, buffers)) {
    return attend_in_products(how, buffers, slots, q);
  }
  using signature =
      at::Tensor(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                 const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                 std::optional<std::int64_t>, double, std::optional<double>);
  static const auto called =
      c10::Dispatcher::singleton().findSchemaOrThrow("kvtransfer::decode_attention", "").typed<signature>();
  return called.call(q, buffers.prefix_keys, buffers.prefix_values, buffers.tail_keys, buffers.tail_values,
                     rows_->sequences, rows_->lengths, slots.used, slots.ordinals, slots.counts, how.window, how.scale,
                     how.softcap);
}

const at::Tensor& slot_attention::hidden(const attention_specification& how, const prefix_slots& slots,
                                         std::int64_t members) {
  at::Tensor& hidden = hidden_[{&slots, how.window.value_or(0)}];
  if (!hidden.defined()) {
    const at::Tensor length = rows_->lengths.reshape({-1, 1, members, 1});  // [groups, 1, members, 1]
    const at::Tensor slot = at::arange(rows_->tail, length.options());
    const at::Tensor ordinals = slots.ordinals.slice(2, 0, rows_->prefix).unsqueeze(2);  // [groups, heads, 1, prefix]
    const at::Tensor query = slots.counts.unsqueeze(2).unsqueeze(3).add(length).add(1);
    at::Tensor in_tail = slot.gt(length);
    at::Tensor in_prefix = ordinals.gt(query);
    if (how.window) {
      in_tail = in_tail.logical_or(slot.le(length.sub(*how.window)));
      in_prefix = in_prefix.logical_or(ordinals.le(query.sub(*how.window)));
    }
    const std::int64_t heads = slots.ordinals.size(1);
    hidden = at::cat({in_prefix.expand({-1, heads, members, -1}), in_tail.expand({-1, heads, -1, -1})}, 3).unsqueeze(3);
  }
  return hidden;
}

/// Three products for all groups: with prefixes, with tails, and of weights with values; what is hidden is masked.
at::Tensor slot_attention::attend_in_products(const attention_specification& how, const layer_buffers& buffers,
                                              const prefix_slots& slots, const at::Tensor& q) {
  const at::ScalarType wide = at::toOpMathType(q.scalar_type());
  const std::int64_t groups = buffers.prefix_keys.size(0);
  const std::int64_t sequences = buffers.tail_keys.size(0);
  const std::int64_t members = sequences / groups;
  const std::int64_t kv_heads = config_->kv_heads;
  const std::int64_t shared = config_->q_heads / kv_heads;
  at::Tensor queries = q.to(wide);
  if (!rows_->all) {
    queries = at::zeros({sequences, q.size(1), q.size(2)}, queries.options()).index_copy_(0, rows_->sequences, queries);
  }
  queries = queries.reshape({groups, members, kv_heads, shared, q.size(2)}).transpose(1, 2).contiguous();
  const auto tails = [&](const at::Tensor& kept) {  // [groups, kv_heads, members, tail, head_dim]
    return kept.slice(2, 0, rows_->tail).unflatten(0, {groups, members}).transpose(1, 2).to(wide);
  };
  const at::Tensor prefix_keys = buffers.prefix_keys.slice(2, 0, rows_->prefix).to(wide);
  const at::Tensor prefix_values = buffers.prefix_values.slice(2, 0, rows_->prefix).to(wide);
  const at::Tensor of_prefix =
      at::matmul(queries.flatten(2, 3), prefix_keys.transpose(-2, -1)).unflatten(2, {members, shared});
  const at::Tensor of_tail = at::matmul(queries, tails(buffers.tail_keys).transpose(-2, -1));
  at::Tensor scores = capped(at::cat({of_prefix, of_tail}, -1).mul_(how.scale), how.softcap);
  scores.masked_fill_(hidden(how, slots, members), hidden_score);
  const at::Tensor weights = at::softmax(scores, -1);
  const at::Tensor from_prefix =
      at::matmul(weights.slice(-1, 0, rows_->prefix).flatten(2, 3), prefix_values).unflatten(2, {members, shared});
  const at::Tensor context = at::matmul(weights.slice(-1, rows_->prefix), tails(buffers.tail_values)).add_(from_prefix);
  const at::Tensor by_sequence = context.transpose(1, 2).reshape({sequences, q.size(1), q.size(2)});
  return (rows_->all ? by_sequence : by_sequence.index_select(0, rows_->sequences)).to(q.scalar_type());
}

}  // namespace kvtransfer::detail
