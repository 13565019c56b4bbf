// What must hold for any causal model with rotary positions, on a random one. `lab_model_test` has the same on the
// model that ships.

#include <ATen/ops/equal.h>

#include "kvtransfer/cache/halves.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

std::vector<std::int64_t> greedy(const causal_lm& model, const plan& input, std::int64_t count = 16) {
  return generate(model, input, {.max_new_tokens = count}).sequences.front().token_ids;
}

}  // namespace

TEST_CASE("a position off by one changes what the random model says", "[model][invariants]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(12)});
  const auto target = some_tokens(5, 3);
  CHECK(greedy(model, prepend(source.view(), {target})) !=
        greedy(model, prepend(source.view(), {target}, place::gap{1})));
  CHECK(greedy(model, prepend(source.view(), {target})) !=
        greedy(model, prepend(source.view(), {target}, place::restart{})));
}

TEST_CASE("concatenation: a source cache and the target at its offset are the concatenated prompt",
          "[model][invariants]") {
  const causal_lm model = small_model();
  const auto source = some_tokens(12);
  const auto target = some_tokens(5, 3);
  const cache kv = prefill(model, {source});
  const at::Tensor whole = plan_logits(model, plan_of({joined(source, target)}));
  const at::Tensor injected = plan_logits(model, prepend(kv.view(), {target}));
  CHECK(max_difference(whole.slice(1, 12), injected) < 1e-4);
  CHECK(greedy(model, plan_of({joined(source, target)})) == greedy(model, prepend(kv.view(), {target})));
}

TEST_CASE("translation: a shifted cache is the cache of the text at the shifted positions", "[model][invariants]") {
  const causal_lm model = small_model();
  const auto text = some_tokens(10);
  cache shifted = prefill(model, {text});
  shifted.shift(37);
  shifted.materialize({.angles = rope::angle_mode::model_faithful});

  plan elsewhere = plan_of({text});
  elsewhere.positions = elsewhere.positions.shifted(37);
  const cache written = session(model, elsewhere).release();
  for (std::int64_t layer = 0; layer < model.config.layers; ++layer) {
    CHECK(max_difference(shifted.view().layer(layer).keys(), written.view().layer(layer).keys()) < 1e-4);
    CHECK(max_difference(shifted.view().layer(layer).values(), written.view().layer(layer).values()) < 1e-4);
  }
  CHECK(shifted.target() == written.target());
}

TEST_CASE("a moved cache continues as the unmoved one", "[model][invariants]") {
  const causal_lm model = small_model();
  cache kv = prefill(model, {some_tokens(12)});
  const auto before = greedy(model, prepend(kv.view(), {some_tokens(4, 2)}));
  kv.shift(100);
  CHECK(greedy(model, prepend(kv.view(), {some_tokens(4, 2)})) == before);  // read moved, the cache left as it is
  CHECK_FALSE(kv.materialized());
  kv.materialize();
  CHECK(greedy(model, prepend(kv.view(), {some_tokens(4, 2)})) == before);
}

TEST_CASE("self-injection: all of a prompt but its last token, injected, is the baseline", "[model][invariants]") {
  const causal_lm model = small_model();
  const auto text = some_tokens(14, 5);
  const cache kv = prefill(model, {std::vector<std::int64_t>(text.begin(), text.end() - 1)});
  CHECK(greedy(model, prepend(kv.view(), {{text.back()}})) == greedy(model, plan_of({text})));
}

TEST_CASE("values don't move: shifting leaves every value as it is, bit for bit", "[model][invariants]") {
  const causal_lm model = small_model();
  cache kv = prefill(model, {some_tokens(9)});
  const cache before = kv.clone();
  kv.shift(1000);
  kv.materialize();
  for (std::int64_t layer = 0; layer < kv.layers(); ++layer) {
    CHECK(at::equal(kv.view().layer(layer).values(), before.view().layer(layer).values()));
    CHECK_FALSE(at::equal(kv.view().layer(layer).keys(), before.view().layer(layer).keys()));
  }
}

TEST_CASE("batching: unequal rows say together what each says alone", "[model][invariants]") {
  const causal_lm model = small_model();
  const std::vector<std::vector<std::int64_t>> texts = {some_tokens(11), some_tokens(3, 1), some_tokens(7, 2)};
  const auto together = generate(model, plan_of(texts), {.max_new_tokens = 12});
  for (std::size_t row = 0; row < texts.size(); ++row) {
    CHECK(together.sequences[row].token_ids == greedy(model, plan_of({texts[row]}), 12));
  }
}

TEST_CASE("batching: rows that share an injected prefix say what each says alone", "[model][invariants]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(8)});
  const std::vector<std::vector<std::int64_t>> texts = {some_tokens(5, 1), some_tokens(2, 4)};
  const auto together = generate(model, prepend(source.view(), texts), {.max_new_tokens = 12});
  for (std::size_t row = 0; row < texts.size(); ++row) {
    CHECK(together.sequences[row].token_ids == greedy(model, prepend(source.view(), {texts[row]}), 12));
  }
}

TEST_CASE("batching: caches of unequal rows are injected row by row", "[model][invariants]") {
  const causal_lm model = small_model();
  const std::vector<std::vector<std::int64_t>> sources = {some_tokens(9), some_tokens(4, 1)};
  const std::vector<std::vector<std::int64_t>> targets = {some_tokens(3, 2), some_tokens(6, 3)};
  const cache both = prefill(model, sources);
  const auto together = generate(model, prepend(both.view(), targets), {.max_new_tokens = 12});
  for (std::size_t row = 0; row < sources.size(); ++row) {
    CHECK(together.sequences[row].token_ids == greedy(model, plan_of({joined(sources[row], targets[row])}), 12));
  }
}

TEST_CASE("rows of unequal length shift as one", "[model][invariants]") {
  const causal_lm model = small_model();
  cache both = prefill(model, {some_tokens(9), some_tokens(4, 1)});
  const std::vector<std::vector<std::int64_t>> targets = {some_tokens(3, 2), some_tokens(6, 3)};
  const auto before = generate(model, prepend(both.view(), targets), {.max_new_tokens = 12});
  both.shift(21);
  both.materialize();
  const auto after = generate(model, prepend(both.view(), targets), {.max_new_tokens = 12});
  CHECK(after.sequences[0].token_ids == before.sequences[0].token_ids);
  CHECK(after.sequences[1].token_ids == before.sequences[1].token_ids);
}

TEST_CASE("the keys and values of one cache, taken as halves, are that cache", "[model][invariants]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(12)});
  const cache other = prefill(model, {some_tokens(12, 7)});
  const auto target = some_tokens(5, 3);
  const auto whole = greedy(model, prepend(source.view(), {target}));
  CHECK(greedy(model, prepend(keys_with_values_of(source.view(), source.view()), {target})) == whole);
  CHECK(greedy(model, prepend(keys_with_values_of(source.view(), other.view()), {target})) != whole);
}

TEST_CASE("gradients: what a plan's logits say of injected keys agrees with finite differences",
          "[model][invariants]") {
  model_config config = model_config_from_json(small_config());
  model_weights weights = random_weights(config, 1, 0.15);
  for_each_parameter(weights, [](const std::string&, at::Tensor& tensor) { tensor = tensor.to(at::kDouble); });
  const causal_lm model = causal_lm::of(std::move(config), std::move(weights));
  const cache kv = prefill(model, {some_tokens(4)});
  const cache_view<> view = kv.view();
  const auto score = [&](const at::Tensor& first_keys) {
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (std::int64_t layer = 0; layer < view.layers(); ++layer) {
      keys.push_back(layer == 0 ? first_keys : view.layer(layer).keys().clone());
      values.push_back(view.layer(layer).values());
    }
    cache moved(keys, values, view.frame(), as_written);
    moved.shift(3);
    moved.materialize();
    return plan_logits(model, prepend(moved.view(), {some_tokens(3, 2)})).select(1, 2).square().sum();
  };
  const at::Tensor keys = view.layer(0).keys().clone().requires_grad_(true);
  score(keys).backward();
  const double step = 1e-5;
  for (const std::int64_t element : {0, 77, 100}) {
    const at::Tensor up = keys.detach().clone();
    const at::Tensor down = keys.detach().clone();
    up.view(-1)[element] += step;
    down.view(-1)[element] -= step;
    const double slope = ((score(up) - score(down)) / (2 * step)).item<double>();
    CHECK(keys.grad().view(-1)[element].item<double>() == Approx(slope).epsilon(1e-5).margin(1e-7));
  }
}
