#include "kvtransfer/model/plan_logits.hpp"

#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/causal_logits.hpp"
#include "kvtransfer/model/generate.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("one differentiable pass scores what a session scores", "[model][plan_logits]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(7), some_tokens(3, 1)});
  const plan input = prepend(source.view(), {some_tokens(4, 2), some_tokens(2, 3)});
  const at::Tensor logits = plan_logits(model, input);
  CHECK(logits.sizes() == at::IntArrayRef({2, 4, 97}));
  CHECK(max_difference(logits.select(1, 3), session(model, input).logits()) < 1e-4);
}

TEST_CASE("a plan without injection scores what the plain transformer scores", "[model][plan_logits]") {
  const causal_lm model = small_model();
  const auto text = some_tokens(9);
  const at::Tensor plain = causal_logits(model.config, model.weights, token_tensor({text}, 0, at::kCPU));
  CHECK(max_difference(plan_logits(model, plan_of({text})), plain) < 1e-5);
}

TEST_CASE("two segments side by side are the cache they were cut from", "[model][plan_logits]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(8)});
  const plan whole = prepend(source.view(), {some_tokens(3, 2)});
  plan parts = whole;
  const cache_view<> front = source.view().slice(0, 5);
  const cache_view<> back = source.view().slice(5, 8);
  for (std::int64_t layer = 0; layer < source.layers(); ++layer) {
    parts.layers[static_cast<std::size_t>(layer)] = {segment(front, layer), segment(back, layer)};
  }
  CHECK(max_difference(plan_logits(model, whole), plan_logits(model, parts)) < 1e-6);
}
