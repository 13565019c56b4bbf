#include "model/sequence_batch.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/session.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"
#include "kvtransfer/tensor/upload.hpp"
#include "model/attention.hpp"
#include "model/model_snapshot.hpp"
#include "model/plan_checks.hpp"
#include "model/plan_frame.hpp"
#include "model/transformer.hpp"

namespace kvtransfer::detail {

namespace {

constexpr std::int64_t nobodys = std::int64_t{1} << 40;  // the ordinal of a slot that no query sees
constexpr double nothing = -std::numeric_limits<double>::infinity();

/// Scores that one pass over several texts may hold.
constexpr std::int64_t most_scores = std::int64_t{1} << 24;
/// Tail slots are looked at in steps of so many, so that few shapes occur.
constexpr std::int64_t tail_step = 32;

std::int64_t size_of(const std::vector<std::int64_t>& list) { return static_cast<std::int64_t>(list.size()); }

at::ScalarType wide_type(at::ScalarType dtype) { return dtype == at::kDouble ? at::kDouble : at::kFloat; }

/// A buffer `[groups, kv_heads, slots, head_dim]` so that tokens come before heads: `[groups, slots, kv_heads, …]`.
at::Tensor by_slot(const at::Tensor& buffer) { return buffer.transpose(1, 2); }

/// Fresh `[1, heads, tokens, head_dim]` as `[tokens, heads, head_dim]`.
at::Tensor by_token(const at::Tensor& fresh, at::ScalarType wide) { return fresh[0].transpose(0, 1).to(wide); }

void put(const at::Tensor& buffer, std::initializer_list<at::Tensor> places, const at::Tensor& values) {
  c10::List<std::optional<at::Tensor>> where;
  for (const at::Tensor& place : places) {
    where.push_back(place);
  }
  buffer.index_put_(where, values);
}

}  // namespace

checked_plan checked(const causal_lm& model, plan input) {
  require_runnable(model, input);
  require_count<shape_error>(input.batch(), 1, "generate_many", "plan", "{} sequence");
  checked_plan made{std::move(input), {}, 0};
  made.injected = injected_frame(model.config, made.input);
  const position_map& first = made.injected.layer(0).positions;
  for (std::int64_t layer = 0; layer < made.injected.layers(); ++layer) {
    const position_map& positions = made.injected.layer(layer).positions;
    made.layers_alike =
        made.layers_alike && (made.injected.shared(layer) == made.injected.shared(0) || positions == first);
    made.heads_differ = made.heads_differ || positions.heads() > 1;
    made.slots = std::max(made.slots, positions.size() + made.input.size());
  }
  return made;
}

std::int64_t bytes_of(const causal_lm& model, const batch_sizes& sizes) {
  const model_config& config = model.config;
  const auto wide = static_cast<std::int64_t>(c10::elementSize(wide_type(model.dtype())));
  const std::int64_t sequences = sizes.groups * sizes.members;
  const std::int64_t slots = sizes.groups * sizes.prefix + sequences * sizes.tail;
  const std::int64_t kept = 2 * config.layers * slots * config.kv_heads * config.head_dim * wide;
  const std::int64_t scores = 3 * sequences * config.q_heads * (sizes.prefix + sizes.tail) * wide;
  const std::int64_t reading =
      4 * std::min(most_scores, sizes.groups * config.q_heads * longest_read_together * sizes.prefix) * wide;
  const std::int64_t activations = sequences * (4 * config.intermediate_size + 8 * config.hidden_size) * wide;
  const std::int64_t logits = 3 * sequences * config.vocab_size * wide;
  return kept + std::max(scores, reading) + activations + logits;
}

struct sequence_batch::reading {
  std::int64_t longest = 0;        // text
  at::Tensor groups;               // int64 [texts]
  at::Tensor group_of;             // int64 [tokens]
  std::vector<at::Tensor> places;  // of `slots_`: int64 [tokens], the slot that a token fills
  std::vector<at::Tensor> hidden;  // of layers, shared: bool [texts, heads, longest, 1, prefix]
  at::Tensor flat;                 // int64 [tokens]: text · longest + index in it
  std::int64_t prefix = 0;         // slots looked at
};

struct sequence_batch::stepping {
  bool all = false;         // every sequence goes on, in order
  at::Tensor flat;          // int64 [entries]: which sequence
  at::Tensor group;         // int64 [entries]
  at::Tensor member;        // int64 [entries]
  at::Tensor place;         // int64 [entries]: the tail slot that is filled
  at::Tensor lengths;       // int64 [groups, 1, members]: tail slots in front of the query's own
  std::int64_t prefix = 0;  // slots looked at
  std::int64_t tail = 0;    // slots looked at
  std::map<std::pair<std::size_t, std::int64_t>, at::Tensor> hidden;  // by slots and window
};

sequence_batch::sequence_batch(const causal_lm& model, const batch_sizes& sizes)
    : model_(&model),
      origin_(origin_of(model)),
      sizes_(sizes),
      wide_(wide_type(model.dtype())),
      rotations_(model.config, model.dtype(), model.device()),
      frames_(static_cast<std::size_t>(sizes.groups)),
      next_positions_(static_cast<std::size_t>(sizes.groups)),
      tails_(static_cast<std::size_t>(sizes.groups * sizes.members)) {
  const model_config& config = model.config;
  const at::TensorOptions options = at::TensorOptions().dtype(wide_).device(model.device());
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const auto buffer = [&](const std::vector<std::int64_t>& shape) { return at::zeros(shape, options); };
    const std::vector<std::int64_t> prefix{sizes.groups, config.kv_heads, sizes.prefix, config.head_dim};
    const std::vector<std::int64_t> tail{sizes.groups, config.kv_heads, sizes.members, sizes.tail, config.head_dim};
    layers_.push_back({buffer(prefix), buffer(prefix), buffer(tail), buffer(tail)});
  }
  const at::TensorOptions whole = options.dtype(at::kLong);
  const std::int64_t heads = sizes.heads_differ ? config.kv_heads : 1;
  for (std::int64_t i = 0; i < (sizes.layers_alike ? 1 : config.layers); ++i) {
    slots_.push_back({at::full({sizes.groups, heads, sizes.prefix}, nobodys, whole),
                      at::zeros({sizes.groups, heads}, whole), at::Tensor(),
                      std::vector<std::int64_t>(static_cast<std::size_t>(sizes.groups))});
  }
}

at::Tensor sequence_batch::index(const std::vector<std::int64_t>& list) const {
  return uploaded(list, at::kLong, model_->device());
}

void sequence_batch::inject(std::int64_t group, const checked_plan& read) {
  const auto g = static_cast<std::size_t>(group);
  frames_[g] = read.injected;
  const std::int64_t tokens = read.input.size();
  for (prefix_slots& slots : slots_) {
    const auto layer = static_cast<std::int64_t>(&slots - slots_.data());
    const position_map& positions = read.injected.layer(layer).positions;
    const at::Tensor valid = validity_tensor(positions, model_->device())[0];  // [heads, slots]
    const at::Tensor numbers = valid.cumsum(1);
    const at::Tensor count = valid.sum(1);
    const std::int64_t injected = positions.size();
    at::Tensor ordinals = slots.ordinals[group];
    ordinals.fill_(nobodys);
    ordinals.slice(1, 0, injected).copy_(numbers.masked_fill(valid.logical_not(), nobodys));
    const at::Tensor own = at::arange(1, tokens + 1, numbers.options());
    ordinals.slice(1, injected, injected + tokens).copy_(count.unsqueeze(1) + own);
    slots.counts[group].copy_(count + tokens);
    slots.lengths[g] = injected + tokens;
  }
  for (std::int64_t layer = 0; layer < model_->config.layers; ++layer) {
    layer_buffers& buffers = layers_[static_cast<std::size_t>(layer)];
    std::int64_t begin = 0;
    for (const segment& part : read.input.segments(layer)) {
      const std::int64_t end = begin + part.kv.size();
      buffers.prefix_keys[group].slice(1, begin, end).copy_(part.kv.keys()[0]);
      buffers.prefix_values[group].slice(1, begin, end).copy_(part.kv.values()[0]);
      begin = end;
    }
  }
  const position_row& row = read.input.positions.row(0, 0, 0);
  next_positions_[g] = row.last_position().value_or(-1) + 1;
  frames_[g].append(written_frame(rotary_specifications(model_->config, next_positions_[g]), read.input.positions,
                                  read.input.token_ids, origin_));
  for (std::int64_t member = 0; member < sizes_.members; ++member) {
    restart(group, member);
  }
}

at::Tensor sequence_batch::read(const std::vector<std::int64_t>& groups, const std::vector<const checked_plan*>& plans,
                                const std::vector<std::int64_t>& asked) {
  at::NoGradGuard no_grad;
  const std::vector<std::int64_t> wanted = asked.empty() ? std::vector<std::int64_t>(groups.size(), 1) : asked;
  std::vector<at::Tensor> logits;
  for (std::size_t begin = 0; begin < groups.size();) {
    std::size_t end = begin;
    std::int64_t longest = 0;
    while (end < groups.size()) {
      const std::int64_t next = std::max(longest, plans[end]->input.size());
      const std::int64_t scores =
          static_cast<std::int64_t>(end - begin + 1) * model_->config.q_heads * next * sizes_.prefix;
      if (next > longest_read_together || (end > begin && scores > most_scores)) {
        break;
      }
      longest = next;
      ++end;
    }
    if (end == begin) {
      require_count<value_error>(wanted[begin], 1, "sequence_batch::read", "asked", "{} of a long text");
      logits.push_back(read_alone(groups[begin], *plans[begin]));
      ++begin;
      continue;
    }
    const auto first = static_cast<std::ptrdiff_t>(begin);
    const auto last = static_cast<std::ptrdiff_t>(end);
    logits.push_back(read_at_once({groups.begin() + first, groups.begin() + last},
                                  {plans.begin() + first, plans.begin() + last},
                                  {wanted.begin() + first, wanted.begin() + last}));
    begin = end;
  }
  for (prefix_slots& slots : slots_) {
    slots.hidden = slots.ordinals.eq(nobodys).unsqueeze(2).unsqueeze(3);
  }
  return logits.size() == 1 ? logits.front() : at::cat(logits, 0);
}

at::Tensor sequence_batch::read_alone(std::int64_t group, const checked_plan& read) {
  inject(group, read);
  session alone(*model_, read.input);
  const at::Tensor logits = alone.logits();
  const cache left = std::move(alone).release();
  const cache_view<> all = left.view();
  for (std::int64_t layer = 0; layer < model_->config.layers; ++layer) {
    layer_buffers& buffers = layers_[static_cast<std::size_t>(layer)];
    const std::int64_t end = all.layer(layer).size();
    buffers.prefix_keys[group].slice(1, 0, end).copy_(all.layer(layer).keys()[0]);
    buffers.prefix_values[group].slice(1, 0, end).copy_(all.layer(layer).values()[0]);
  }
  return logits;
}

at::Tensor sequence_batch::read_at_once(const std::vector<std::int64_t>& groups,
                                        const std::vector<const checked_plan*>& plans,
                                        const std::vector<std::int64_t>& asked) {
  reading now;
  std::vector<std::int64_t> ids;
  std::vector<rotation_place> places;
  std::vector<std::int64_t> group_of;
  std::vector<std::int64_t> flat;
  std::vector<std::int64_t> behind;  // tokens
  std::vector<std::vector<std::int64_t>> filled(slots_.size());
  for (std::size_t i = 0; i < groups.size(); ++i) {
    inject(groups[i], *plans[i]);
    now.longest = std::max(now.longest, plans[i]->input.size());
  }
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const auto g = static_cast<std::size_t>(groups[i]);
    const std::vector<std::int64_t>& text = plans[i]->input.token_ids.front();
    const std::vector<std::int64_t> positions = plans[i]->input.positions.row(0, 0, 0).positions();
    for (std::size_t j = 0; j < text.size(); ++j) {
      ids.push_back(text[j]);
      places.push_back({positions[j], next_positions_[g]});
      group_of.push_back(groups[i]);
      flat.push_back(static_cast<std::int64_t>(i) * now.longest + static_cast<std::int64_t>(j));
      for (std::size_t s = 0; s < slots_.size(); ++s) {
        filled[s].push_back(slots_[s].lengths[g] - size_of(text) + static_cast<std::int64_t>(j));
      }
    }
    for (std::int64_t j = asked[i]; j > 0; --j) {
      behind.push_back(size_of(ids) - j);
    }
  }
  now.groups = index(groups);
  now.group_of = index(group_of);
  now.flat = index(flat);
  const at::Tensor steps = at::arange(1, now.longest + 1, now.groups.options());
  const at::Tensor lengths = index([&] {
    std::vector<std::int64_t> own;
    for (const checked_plan* each : plans) {
      own.push_back(each->input.size());
    }
    return own;
  }());
  for (std::size_t s = 0; s < slots_.size(); ++s) {
    now.places.push_back(index(filled[s]));
    for (const std::int64_t g : groups) {
      now.prefix = std::max(now.prefix, slots_[s].lengths[static_cast<std::size_t>(g)]);
    }
  }
  std::map<std::pair<std::size_t, std::int64_t>, at::Tensor> known;
  for (std::int64_t layer = 0; layer < model_->config.layers; ++layer) {
    const prefix_slots& slots = slots_of(layer);
    const auto which = static_cast<std::size_t>(&slots - slots_.data());
    const std::optional<std::int64_t> window = model_->config.attention[static_cast<std::size_t>(layer)].window;
    at::Tensor& hidden = known[{which, window.value_or(0)}];
    if (!hidden.defined()) {
      const at::Tensor ordinals =
          slots.ordinals.index_select(0, now.groups).slice(2, 0, now.prefix).unsqueeze(2);  // [texts, heads, 1, prefix]
      const at::Tensor before = slots.counts.index_select(0, now.groups).sub(lengths.unsqueeze(1));
      const at::Tensor query = before.unsqueeze(2).add(steps).unsqueeze(3);  // [texts, heads, longest, 1]
      hidden = ordinals.gt(query);
      if (window) {
        hidden = hidden.logical_or(ordinals.le(query.sub(*window)));
      }
      hidden = hidden.unsqueeze(3);
    }
    now.hidden.push_back(hidden);
  }
  rotations_.select(places);
  const auto attend = [&](std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    return attend_reading(now, layer, q, k, v);
  };
  const at::Tensor hidden = hidden_states(model_->config, model_->weights, index(ids).unsqueeze(0),
                                          rotations_.geometry(), rotations_, attend);
  return vocabulary_logits(model_->config, model_->weights, hidden[0].index_select(0, index(behind)));
}

at::Tensor sequence_batch::attend_reading(const reading& now, std::int64_t layer, const at::Tensor& q,
                                          const at::Tensor& k, const at::Tensor& v) {
  const attention_specification& how = model_->config.attention[static_cast<std::size_t>(layer)];
  const layer_buffers& buffers = layers_[static_cast<std::size_t>(layer)];
  const at::Tensor& place = now.places[sizes_.layers_alike ? 0 : static_cast<std::size_t>(layer)];
  put(by_slot(buffers.prefix_keys), {now.group_of, place}, by_token(k, wide_));
  put(by_slot(buffers.prefix_values), {now.group_of, place}, by_token(v, wide_));
  const std::int64_t texts = now.groups.size(0);
  const std::int64_t kv_heads = model_->config.kv_heads;
  const std::int64_t shared = model_->config.q_heads / kv_heads;
  at::Tensor queries = at::zeros({texts * now.longest, q.size(1), q.size(3)}, q.options().dtype(wide_));
  queries.index_copy_(0, now.flat, by_token(q, wide_));
  queries = queries.view({texts, now.longest, kv_heads, shared, q.size(3)}).transpose(1, 2).flatten(2, 3);
  const at::Tensor keys = buffers.prefix_keys.index_select(0, now.groups).slice(2, 0, now.prefix);
  const at::Tensor values = buffers.prefix_values.index_select(0, now.groups).slice(2, 0, now.prefix);
  at::Tensor scores = capped(at::matmul(queries, keys.transpose(-2, -1)) * how.scale, how.softcap);
  scores = scores.unflatten(2, {now.longest, shared});
  scores.masked_fill_(now.hidden[static_cast<std::size_t>(layer)], nothing);
  const at::Tensor context = at::matmul(at::softmax(scores, -1).flatten(2, 3), values);
  return context.unflatten(2, {now.longest, shared})
      .transpose(1, 2)
      .reshape({texts * now.longest, q.size(1), q.size(3)})
      .index_select(0, now.flat)
      .to(q.scalar_type())
      .transpose(0, 1)
      .unsqueeze(0);
}

at::Tensor sequence_batch::step(const std::vector<next_token>& next) {
  at::NoGradGuard no_grad;
  stepping now;
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> flat;
  std::vector<std::int64_t> group;
  std::vector<std::int64_t> member;
  std::vector<std::int64_t> place;
  std::vector<rotation_place> places;
  const std::optional<std::int64_t> limit = position_limit(model_->config);
  for (const next_token& token : next) {
    const std::int64_t position = next_position(token.group, token.member);
    if (limit && position >= *limit) {
      fail<value_error>("sequence_batch::step", "position", fmt::format("below {}", *limit),
                        fmt::format("{}", position));
    }
    ids.push_back(token.token_id);
    group.push_back(token.group);
    member.push_back(token.member);
    flat.push_back(static_cast<std::int64_t>(index_of(token.group, token.member)));
    place.push_back(size_of(tail_of(token.group, token.member)));
    places.push_back({position, position + 1});
    now.tail = std::max(now.tail, place.back() + 1);
    now.all = flat.back() == size_of(flat) - 1 && (now.all || flat.size() == 1);
  }
  now.all = now.all && flat.size() == tails_.size();
  std::vector<std::int64_t> lengths;
  for (const std::vector<std::int64_t>& tail : tails_) {
    lengths.push_back(size_of(tail));
  }
  now.tail = std::min((now.tail + tail_step - 1) / tail_step * tail_step, sizes_.tail);
  for (const prefix_slots& slots : slots_) {
    now.prefix = std::max(now.prefix, *std::ranges::max_element(slots.lengths));
  }
  now.flat = index(flat);
  now.group = index(group);
  now.member = index(member);
  now.place = index(place);
  now.lengths = index(lengths).view({sizes_.groups, 1, sizes_.members});
  rotations_.select(places);
  const auto attend = [&](std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    return attend_stepping(now, layer, q, k, v);
  };
  const at::Tensor hidden = hidden_states(model_->config, model_->weights, index(ids).unsqueeze(0),
                                          rotations_.geometry(), rotations_, attend);
  for (const next_token& token : next) {
    tail_of(token.group, token.member).push_back(token.token_id);
  }
  return vocabulary_logits(model_->config, model_->weights, hidden[0]);
}

const at::Tensor& sequence_batch::hidden_in_step(stepping& now, std::int64_t layer) const {
  const prefix_slots& slots = slots_of(layer);
  const auto which = static_cast<std::size_t>(&slots - slots_.data());
  const std::optional<std::int64_t> window = model_->config.attention[static_cast<std::size_t>(layer)].window;
  at::Tensor& hidden = now.hidden[{which, window.value_or(0)}];
  if (!hidden.defined()) {
    const at::Tensor slot = at::arange(now.tail, now.lengths.options());
    const at::Tensor length = now.lengths.unsqueeze(3);  // [groups, 1, members, 1]
    at::Tensor in_tail = slot.gt(length);
    at::Tensor in_prefix = slots.hidden.squeeze(3).slice(3, 0, now.prefix);  // [groups, heads, 1, prefix]
    if (window) {
      in_tail = in_tail.logical_or(slot.le(length.sub(*window)));
      const at::Tensor query = slots.counts.unsqueeze(2).unsqueeze(3).add(length).add(1);
      const at::Tensor ordinals = slots.ordinals.slice(2, 0, now.prefix).unsqueeze(2);
      in_prefix = in_prefix.logical_or(ordinals.le(query.sub(*window)));
    }
    const std::int64_t heads = slots.ordinals.size(1);
    hidden = at::cat({in_prefix.expand({-1, heads, sizes_.members, -1}), in_tail.expand({-1, heads, -1, -1})}, 3)
                 .unsqueeze(3);
  }
  return hidden;
}

at::Tensor sequence_batch::attend_stepping(stepping& now, std::int64_t layer, const at::Tensor& q, const at::Tensor& k,
                                           const at::Tensor& v) {
  const attention_specification& how = model_->config.attention[static_cast<std::size_t>(layer)];
  const layer_buffers& buffers = layers_[static_cast<std::size_t>(layer)];
  const std::int64_t groups = sizes_.groups;
  const std::int64_t members = sizes_.members;
  const std::int64_t kv_heads = model_->config.kv_heads;
  const std::int64_t shared = model_->config.q_heads / kv_heads;
  // Tails as [groups, members, tail, kv_heads, head_dim], so that one token of each is written at once.
  put(buffers.tail_keys.permute({0, 2, 3, 1, 4}), {now.group, now.member, now.place}, by_token(k, wide_));
  put(buffers.tail_values.permute({0, 2, 3, 1, 4}), {now.group, now.member, now.place}, by_token(v, wide_));
  at::Tensor queries = by_token(q, wide_);
  if (!now.all) {
    queries = at::zeros({groups * members, q.size(1), q.size(3)}, queries.options()).index_copy_(0, now.flat, queries);
  }
  queries = queries.reshape({groups, members, kv_heads, shared, q.size(3)}).transpose(1, 2).contiguous();
  const at::Tensor prefix_keys = buffers.prefix_keys.slice(2, 0, now.prefix);
  const at::Tensor prefix_values = buffers.prefix_values.slice(2, 0, now.prefix);
  const at::Tensor tail_keys = buffers.tail_keys.slice(3, 0, now.tail);
  const at::Tensor tail_values = buffers.tail_values.slice(3, 0, now.tail);
  const at::Tensor of_prefix =
      at::matmul(queries.flatten(2, 3), prefix_keys.transpose(-2, -1)).unflatten(2, {members, shared});
  const at::Tensor of_tail = at::matmul(queries, tail_keys.transpose(-2, -1));
  at::Tensor scores = capped(at::cat({of_prefix, of_tail}, -1).mul_(how.scale), how.softcap);
  scores.masked_fill_(hidden_in_step(now, layer), nothing);
  const at::Tensor weights = at::softmax(scores, -1);
  const at::Tensor from_prefix =
      at::matmul(weights.slice(-1, 0, now.prefix).flatten(2, 3), prefix_values).unflatten(2, {members, shared});
  const at::Tensor context = at::matmul(weights.slice(-1, now.prefix), tail_values).add_(from_prefix);
  const at::Tensor by_sequence = context.transpose(1, 2).reshape({groups * members, q.size(1), q.size(3)});
  return (now.all ? by_sequence : by_sequence.index_select(0, now.flat))
      .to(q.scalar_type())
      .transpose(0, 1)
      .unsqueeze(0);
}

cache sequence_batch::left_by(std::int64_t group, std::int64_t member) const {
  at::NoGradGuard no_grad;
  const auto g = static_cast<std::size_t>(group);
  const std::vector<std::int64_t>& tail = tails_[index_of(group, member)];
  cache_frame frame = frames_[g];
  for (std::size_t begin = 0; begin < tail.size();) {
    const std::int64_t position = next_positions_[g] + static_cast<std::int64_t>(begin);
    const std::vector<rotary_specification> rotary = rotary_specifications(model_->config, position + 1);
    std::size_t end = begin + 1;
    while (end < tail.size() &&
           rotary == rotary_specifications(model_->config, next_positions_[g] + static_cast<std::int64_t>(end) + 1)) {
      ++end;
    }
    const auto first = static_cast<std::ptrdiff_t>(begin);
    const auto last = static_cast<std::ptrdiff_t>(end);
    frame.append(written_frame(rotary, position_map::consecutive(position, static_cast<std::int64_t>(end - begin)),
                               {{tail.begin() + first, tail.begin() + last}}, origin_));
    begin = end;
  }
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t layer = 0; layer < model_->config.layers; ++layer) {
    const layer_buffers& buffers = layers_[static_cast<std::size_t>(layer)];
    const std::int64_t length = slots_of(layer).lengths[g];
    const auto joined = [&](const at::Tensor& prefix, const at::Tensor& behind) {
      return at::cat({prefix[group].slice(1, 0, length), behind[group].select(1, member).slice(1, 0, size_of(tail))}, 1)
          .unsqueeze(0)
          .to(model_->dtype());
    };
    keys.push_back(joined(buffers.prefix_keys, buffers.tail_keys));
    values.push_back(joined(buffers.prefix_values, buffers.tail_values));
  }
  return cache(std::move(keys), std::move(values), std::move(frame), as_written);
}

}  // namespace kvtransfer::detail
