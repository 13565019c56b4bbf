#include "kvtransfer/model/score.hpp"

#include <ATen/OpMathType.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/log_softmax.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "kvtransfer/cache/cache.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/attention_mask.hpp"
#include "kvtransfer/tensor/integers.hpp"
#include "model/needs_gradient.hpp"
#include "model/plan_checks.hpp"
#include "model/plan_frame.hpp"
#include "model/plan_pass.hpp"
#include "model/transformer.hpp"
#include "model/with_continuations.hpp"

namespace kvtransfer {

namespace {

using token_rows = std::vector<std::vector<std::int64_t>>;

void require_continuations(const causal_lm& model, const token_rows& continuations) {
  require<value_error>(!continuations.empty(), "score", "continuations", "one at least", "none");
  for (const std::vector<std::int64_t>& each : continuations) {
    require<value_error>(!each.empty(), "score", "continuation", "at least one token", "an empty one");
  }
  detail::require_tokens_known(model.config, continuations);
}

void require_one_sequence(const plan& input) {
  require<shape_error>(input.batch() == 1, "score", "input", "a plan of one sequence",
                       fmt::format("{}", input.batch()));
}

/// A plan of one sequence as one of `batch` equal ones, which share what is injected.
plan repeated(const plan& input, std::int64_t batch) {
  plan many;
  many.token_ids.assign(static_cast<std::size_t>(batch), input.token_ids.front());
  many.positions =
      position_map(1, batch, 1, std::vector(static_cast<std::size_t>(batch), input.positions.row(0, 0, 0)));
  for (const std::vector<segment>& parts : input.layers) {
    many.layers.emplace_back();
    for (const segment& part : parts) {
      if (part.visible.defined()) {
        detail::require_visibility_fits(part);
      }
      many.layers.back().push_back(part.shown_to(batch));
    }
  }
  return many;
}

/// The first `count` tokens of a plan of one sequence.
plan first_tokens(plan input, std::int64_t count) {
  input.token_ids.front().resize(static_cast<std::size_t>(count));
  input.positions = position_map(1, 1, 1, {input.positions.row(0, 0, 0).slice(0, count)});
  return input;
}

/// A plan of one sequence with all but its last token read: keys and values that the pass has made, which autograd
/// tracks, as one more segment behind those injected.
plan read_but_last(const causal_lm& model, const plan& input) {
  const std::int64_t count = input.size() - 1;
  const plan read = first_tokens(input, count);
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  static_cast<void>(detail::plan_states(model, read, [&](const detail::layer_attention& at_work) {
    keys.push_back(at_work.k);
    values.push_back(at_work.v);
  }));
  cache_frame frame = detail::written_frame(rotary_specifications(model.config, detail::reach_of(read)), read.positions,
                                            read.token_ids, model.identity);
  if (!model.changed().empty()) {
    frame.set_assumed();  // whatever the model has become, it has just written these itself
  }
  const cache own(std::move(keys), std::move(values), std::move(frame), as_written);
  plan rest = input;
  rest.token_ids = {{input.token_ids.front().back()}};
  rest.positions = position_map(1, 1, 1, {input.positions.row(0, 0, 0).slice(count, count + 1)});
  rest.layers.resize(static_cast<std::size_t>(model.config.layers));
  for (std::int64_t layer = 0; layer < model.config.layers; ++layer) {
    rest.layers[static_cast<std::size_t>(layer)].emplace_back(own.view(), layer);
  }
  return rest;
}

/// Whether keys are rotated alike whatever the length of what is read up to them.
bool rotates_alike(const causal_lm& model, std::int64_t first, std::int64_t second) {
  return rotary_specifications(model.config, first) == rotary_specifications(model.config, second);
}

/// What reads all continuations in one pass, one a sequence.
plan reading_all(const causal_lm& model, const plan& input, const token_rows& continuations) {
  const auto count = static_cast<std::int64_t>(continuations.size());
  if (input.batch() == count) {
    return detail::with_continuations(input, continuations);
  }
  if (input.batch() != 1) {
    fail<shape_error>("score", "continuations", fmt::format("{}, one a sequence", input.batch()),
                      fmt::format("{}", count));
  }
  const plan last = input.size() == 1 ? input : read_but_last(model, input);
  return detail::with_continuations(repeated(last, count), continuations);
}

/// Whether one continuation's rotation could depend on another's length, or on where reading it is cut in two.
bool depend_on_length(const causal_lm& model, const plan& input, const token_rows& continuations) {
  return std::ranges::any_of(continuations, [&](const std::vector<std::int64_t>& each) {
    const std::int64_t reach = detail::reach_of(input);
    return !rotates_alike(model, reach, reach + static_cast<std::int64_t>(each.size()) - 1);
  });
}

at::Tensor widened(const at::Tensor& logits) { return logits.to(at::toOpMathType(logits.scalar_type())); }

/// Logits `[batch, longest continuation, vocab_size]` in front of the continuations' tokens, aligned at the right end.
at::Tensor logits_before(const causal_lm& model, const plan& input, const token_rows& continuations) {
  require_continuations(model, continuations);
  const plan read = reading_all(model, input, continuations);
  const at::Tensor states = detail::plan_states(model, read);
  std::size_t longest = 0;
  for (const std::vector<std::int64_t>& each : continuations) {
    longest = std::max(longest, each.size());
  }
  const at::Tensor asked = states.slice(1, states.size(1) - static_cast<std::int64_t>(longest));
  return widened(detail::vocabulary_logits(model.config, model.weights, asked));
}

}  // namespace

double continuation_score::total() const { return log_probs.detach().to(at::kDouble).sum().item<double>(); }

continuation_score score(const causal_lm& model, const plan& input, const std::vector<std::int64_t>& continuation) {
  require_one_sequence(input);
  return score_each(model, input, {continuation}).front();
}

std::vector<continuation_score> score_each(const causal_lm& model, const plan& input,
                                           const std::vector<std::vector<std::int64_t>>& continuations) {
  std::vector<continuation_score> scores;
  if (input.batch() == 1 && continuations.size() > 1 && depend_on_length(model, input, continuations)) {
    for (const std::vector<std::int64_t>& each : continuations) {
      scores.push_back(score(model, input, each));
    }
    return scores;
  }
  const at::Tensor log_probs = at::log_softmax(logits_before(model, input, continuations), -1);
  for (std::size_t b = 0; b < continuations.size(); ++b) {
    const auto count = static_cast<std::int64_t>(continuations[b].size());
    const at::Tensor own = log_probs[static_cast<std::int64_t>(b)].slice(0, log_probs.size(1) - count);
    const at::Tensor tokens = integer_tensor(continuations[b], own.device());
    scores.push_back({own.gather(1, tokens.unsqueeze(1)).squeeze(1)});
  }
  return scores;
}

at::Tensor logit_difference(const causal_lm& model, const plan& input, const std::vector<std::int64_t>& answer,
                            const std::vector<std::int64_t>& foil) {
  require_one_sequence(input);
  const std::vector<continuation_score> scores = score_each(model, input, {answer, foil});
  return scores[0].log_probs.sum() - scores[1].log_probs.sum();
}

at::Tensor next_token_logits(const causal_lm& model, const plan& input, const std::vector<std::int64_t>& continuation) {
  require_one_sequence(input);
  return logits_before(model, input, {continuation})[0];
}

next_token_comparison compare_next_tokens(const at::Tensor& reference, const at::Tensor& other) {
  if (reference.dim() != 2 || reference.sizes() != other.sizes()) {
    fail<shape_error>("compare_next_tokens", "other", fmt::format("{}, two axes", describe(reference)),
                      describe(other));
  }
  constexpr std::int64_t most_held = std::int64_t{1} << 19;  // logits: several tensors of so many are needed at a time
  const bool at_once = detail::needs_gradient(reference) || detail::needs_gradient(other) || reference.numel() == 0;
  const std::int64_t rows =
      at_once ? std::max<std::int64_t>(1, reference.size(0)) : std::max<std::int64_t>(1, most_held / reference.size(1));
  std::vector<at::Tensor> divergence;
  for (std::int64_t begin = 0; begin == 0 || begin < reference.size(0); begin += rows) {
    const at::Tensor expected = at::log_softmax(widened(reference.slice(0, begin, begin + rows)), -1);
    const at::Tensor found = at::log_softmax(widened(other.slice(0, begin, begin + rows)), -1);
    divergence.push_back((expected.exp() * (expected - found)).sum(-1));
  }
  const at::Tensor best = std::get<0>(reference.detach().topk(std::min<std::int64_t>(2, reference.size(1)), -1));
  return {divergence.size() == 1 ? divergence.front() : at::cat(divergence),
          best.select(-1, 0) - best.select(-1, best.size(-1) - 1), reference.argmax(-1).eq(other.argmax(-1))};
}

next_token_comparison compare_next_tokens(const causal_lm& model, const plan& reference, const plan& input,
                                          const std::vector<std::int64_t>& continuation) {
  return compare_next_tokens(next_token_logits(model, reference, continuation),
                             next_token_logits(model, input, continuation));
}

}  // namespace kvtransfer
