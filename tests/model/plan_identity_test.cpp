#include "model/plan_identity.hpp"

#include <ATen/ops/ones.h>

#include <optional>

#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/session.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;
using detail::plan_identity;

TEST_CASE("plans are alike where the same is read behind the same memory", "[model][plan_identity]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(5)});
  const cache other = prefill(model, {some_tokens(5)});
  const auto behind = [](const cache& from, const plan& read) { return prepend(from.view(), read.token_ids); };
  const plan text = plan_of({some_tokens(3)});
  const plan input = behind(source, text);
  const plan_identity known(input);
  CHECK(known.is_like(plan_identity(input)));
  CHECK(known.is_like(plan_identity(plan(input))));
  CHECK_FALSE(known.is_like(plan_identity(text)));
  CHECK_FALSE(known.is_like(plan_identity(behind(other, text))));
  CHECK_FALSE(known.is_like(plan_identity(behind(source, plan_of({some_tokens(3, 1)})))));
  plan masked = input;
  masked.layers[0] = {segment(source.view(), 0, at::ones({1, 1, 5}, at::kBool))};
  CHECK_FALSE(known.is_like(plan_identity(masked)));
  CHECK(plan_identity(text).is_like(plan_identity(plan_of({some_tokens(3)}))));
}

TEST_CASE("a plan whose memory is gone is like none", "[model][plan_identity]") {
  const causal_lm model = small_model();
  std::optional<plan> input = prepend(prefill(model, {some_tokens(5)}).view(), {some_tokens(3)});
  const plan_identity known(*input);
  CHECK(known.is_like(known));
  input.reset();
  CHECK_FALSE(known.is_like(known));
}
