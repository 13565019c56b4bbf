#include "model/prefix_reader.hpp"

#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/model/session.hpp"
#include "kvtransfer/tensor/upload.hpp"
#include "model/attention.hpp"
#include "model/transformer.hpp"

namespace kvtransfer::detail {

namespace {

constexpr double masked_score = -std::numeric_limits<double>::infinity();

std::int64_t size_of(const std::vector<std::int64_t>& list) { return static_cast<std::int64_t>(list.size()); }

/// A buffer `[groups, kv_heads, slots, head_dim]` so that tokens come before heads.
at::Tensor by_slot(const at::Tensor& buffer) { return buffer.transpose(1, 2); }

/// Fresh `[1, heads, tokens, head_dim]` as `[tokens, heads, head_dim]`.
at::Tensor by_token(const at::Tensor& fresh, at::ScalarType wide) { return fresh[0].transpose(0, 1).to(wide); }

/// Elements [begin, end) of a list.
template <class Element>
std::vector<Element> part(const std::vector<Element>& list, std::size_t begin, std::size_t end) {
  return {list.begin() + static_cast<std::ptrdiff_t>(begin), list.begin() + static_cast<std::ptrdiff_t>(end)};
}

at::Tensor joined(const std::vector<at::Tensor>& rows) { return rows.size() == 1 ? rows.front() : at::cat(rows, 0); }

void put(const at::Tensor& buffer, std::initializer_list<at::Tensor> places, const at::Tensor& values) {
  c10::List<std::optional<at::Tensor>> where;
  for (const at::Tensor& place : places) {
    where.push_back(place);
  }
  buffer.index_put_(where, values);
}

}  // namespace

struct prefix_reader::reading {
  std::int64_t longest = 0;        // text
  at::Tensor groups;               // int64 [texts]
  at::Tensor group_of;             // int64 [tokens]
  std::vector<at::Tensor> places;  // of `slots_`: int64 [tokens], the slot that a token fills
  std::vector<at::Tensor> hidden;  // of layers, shared: bool [texts, heads, longest, 1, prefix]
  at::Tensor flat;                 // int64 [tokens]: text · longest + index in it
  std::int64_t prefix = 0;         // slots looked at
};

at::Tensor prefix_reader::index(const std::vector<std::int64_t>& list) const {
  return uploaded(list, at::kLong, model_->device());
}

std::size_t prefix_reader::end_of_pass(const std::vector<const checked_plan*>& plans, std::size_t begin) const {
  const std::int64_t most_tokens = most_tokens_read(model_->device());
  std::size_t end = begin;
  std::int64_t longest = 0;
  std::int64_t tokens = 0;
  while (end < plans.size()) {
    const std::int64_t next = std::max(longest, plans[end]->input.size());
    const std::int64_t scores = static_cast<std::int64_t>(end - begin + 1) * model_->config.q_heads * next *
                                caches_->buffers(0).prefix_keys.size(2);
    tokens += plans[end]->input.size();
    if (next > longest_read_together || (end > begin && (scores > most_scores_read || tokens > most_tokens))) {
      break;
    }
    longest = next;
    ++end;
  }
  return end;
}

at::Tensor prefix_reader::read(const std::vector<std::int64_t>& groups, const std::vector<const checked_plan*>& plans) {
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> logits;
  for (std::size_t begin = 0; begin < groups.size();) {
    const std::size_t end = end_of_pass(plans, begin);
    if (end == begin) {
      logits.push_back(read_alone(groups[begin], *plans[begin]));
      ++begin;
    } else {
      logits.push_back(vocabulary_logits(
          model_->config, model_->weights,
          read_at_once(part(groups, begin, end), part(plans, begin, end), std::vector<std::int64_t>(end - begin, 1))));
      begin = end;
    }
  }
  return joined(logits);
}

at::Tensor prefix_reader::read_states(const std::vector<std::int64_t>& groups,
                                      const std::vector<const checked_plan*>& plans,
                                      const std::vector<std::int64_t>& asked) {
  at::NoGradGuard no_grad;
  std::vector<at::Tensor> states;
  for (std::size_t begin = 0; begin < groups.size();) {
    const std::size_t end = end_of_pass(plans, begin);
    require<value_error>(end > begin, "sequence_batch::read_states", "plans",
                         formatted("texts of at most {} tokens", longest_read_together),
                         formatted("{}", plans[begin]->input.size()));
    states.push_back(read_at_once(part(groups, begin, end), part(plans, begin, end), part(asked, begin, end)));
    begin = end;
  }
  return joined(states);
}

at::Tensor prefix_reader::read_alone(std::int64_t group, const checked_plan& read) {
  caches_->inject(group, read);
  session alone(*model_, read.input);
  const at::Tensor logits = alone.logits();
  const cache left = std::move(alone).release();
  const cache_view<> all = left.view();
  for (std::int64_t layer = 0; layer < model_->config.layers; ++layer) {
    const layer_buffers& buffers = caches_->buffers(layer);
    const std::int64_t end = all.layer(layer).size();
    buffers.prefix_keys[group].slice(1, 0, end).copy_(all.layer(layer).keys()[0]);
    buffers.prefix_values[group].slice(1, 0, end).copy_(all.layer(layer).values()[0]);
  }
  return logits;
}

at::Tensor prefix_reader::read_at_once(const std::vector<std::int64_t>& groups,
                                       const std::vector<const checked_plan*>& plans,
                                       const std::vector<std::int64_t>& asked) {
  const std::vector<prefix_slots>& slots = caches_->slots();
  reading now;
  std::vector<std::int64_t> ids;
  std::vector<rotation_place> places;
  std::vector<std::int64_t> group_of;
  std::vector<std::int64_t> flat;
  std::vector<std::int64_t> behind;  // tokens
  std::vector<std::vector<std::int64_t>> filled(slots.size());
  for (std::size_t i = 0; i < groups.size(); ++i) {
    caches_->inject(groups[i], *plans[i]);
    now.longest = std::max(now.longest, plans[i]->input.size());
  }
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const auto g = static_cast<std::size_t>(groups[i]);
    const std::vector<std::int64_t>& text = plans[i]->input.token_ids.front();
    const std::vector<std::int64_t> positions = plans[i]->input.positions.row(0, 0, 0).positions();
    for (std::size_t j = 0; j < text.size(); ++j) {
      ids.push_back(text[j]);
      places.push_back({positions[j], caches_->next_position(groups[i])});
      group_of.push_back(groups[i]);
      flat.push_back(static_cast<std::int64_t>(i) * now.longest + static_cast<std::int64_t>(j));
      for (std::size_t s = 0; s < slots.size(); ++s) {
        filled[s].push_back(slots[s].lengths[g] - size_of(text) + static_cast<std::int64_t>(j));
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
  for (std::size_t s = 0; s < slots.size(); ++s) {
    now.places.push_back(index(filled[s]));
    for (const std::int64_t g : groups) {
      now.prefix = std::max(now.prefix, slots[s].lengths[static_cast<std::size_t>(g)]);
    }
  }
  std::map<std::pair<std::size_t, std::int64_t>, at::Tensor> known;
  for (std::int64_t layer = 0; layer < model_->config.layers; ++layer) {
    const std::size_t which = caches_->slots_index(layer);
    const std::optional<std::int64_t> window = model_->config.attention[static_cast<std::size_t>(layer)].window;
    at::Tensor& hidden = known[{which, window.value_or(0)}];
    if (!hidden.defined()) {
      const at::Tensor ordinals =
          slots[which].ordinals.index_select(0, now.groups).slice(2, 0, now.prefix).unsqueeze(2);  // [texts, heads, 1,
                                                                                                   // prefix]
      const at::Tensor before = slots[which].counts.index_select(0, now.groups).sub(lengths.unsqueeze(1));
      const at::Tensor query = before.unsqueeze(2).add(steps).unsqueeze(3);  // [texts, heads, longest, 1]
      hidden = ordinals.gt(query);
      if (window) {
        hidden = hidden.logical_or(ordinals.le(query.sub(*window)));
      }
      hidden = hidden.unsqueeze(3);
    }
    now.hidden.push_back(hidden);
  }
  rotations_->select(places);
  const auto attend = [&](std::int64_t layer, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
    return attend_reading(now, layer, q, k, v);
  };
  const at::Tensor hidden = hidden_states(model_->config, model_->weights, index(ids).unsqueeze(0),
                                          rotations_->geometry(), *rotations_, attend);
  return hidden[0].index_select(0, index(behind));
}

at::Tensor prefix_reader::attend_reading(const reading& now, std::int64_t layer, const at::Tensor& q,
                                         const at::Tensor& k, const at::Tensor& v) {
  const attention_specification& how = model_->config.attention[static_cast<std::size_t>(layer)];
  const layer_buffers& buffers = caches_->buffers(layer);
  const at::Tensor& place = now.places[caches_->slots_index(layer)];
  put(by_slot(buffers.prefix_keys), {now.group_of, place}, by_token(k, buffers.prefix_keys.scalar_type()));
  put(by_slot(buffers.prefix_values), {now.group_of, place}, by_token(v, buffers.prefix_values.scalar_type()));
  const at::ScalarType wide = at::toOpMathType(q.scalar_type());
  const std::int64_t texts = now.groups.size(0);
  const std::int64_t kv_heads = model_->config.kv_heads;
  const std::int64_t shared = model_->config.q_heads / kv_heads;
  at::Tensor queries = at::zeros({texts * now.longest, q.size(1), q.size(3)}, q.options().dtype(wide));
  queries.index_copy_(0, now.flat, by_token(q, wide));
  queries = queries.view({texts, now.longest, kv_heads, shared, q.size(3)}).transpose(1, 2).flatten(2, 3);
  const at::Tensor& hidden = now.hidden[static_cast<std::size_t>(layer)];
  const std::int64_t scores_of_text = std::max<std::int64_t>(1, q.size(1) * now.longest * now.prefix);
  const std::int64_t together = std::max<std::int64_t>(1, most_scores_at_once(q.device()) / scores_of_text);
  std::vector<at::Tensor> parts;
  for (std::int64_t begin = 0; begin < texts; begin += together) {
    const std::int64_t end = std::min(texts, begin + together);
    const at::Tensor some = now.groups.slice(0, begin, end);
    const auto kept = [&](const at::Tensor& slots) {
      return slots.slice(2, 0, now.prefix).index_select(0, some).to(wide);
    };
    at::Tensor scores =
        capped(at::matmul(queries.slice(0, begin, end), kept(buffers.prefix_keys).transpose(-2, -1)).mul_(how.scale),
               how.softcap);
    scores = scores.unflatten(2, {now.longest, shared});
    scores.masked_fill_(hidden.slice(0, begin, end), masked_score);
    parts.push_back(at::matmul(at::softmax(scores, -1).flatten(2, 3), kept(buffers.prefix_values)));
  }
  return joined(parts)
      .unflatten(2, {now.longest, shared})
      .transpose(1, 2)
      .reshape({texts * now.longest, q.size(1), q.size(3)})
      .index_select(0, now.flat)
      .to(q.scalar_type())
      .transpose(0, 1)
      .unsqueeze(0);
}

}  // namespace kvtransfer::detail
