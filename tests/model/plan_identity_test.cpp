#include "model/plan_identity.hpp"

#include <ATen/ops/ones.h>

#include <optional>
#include <vector>

#include "kvtransfer/core/memory_changes.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/session.hpp"
#include "kvtransfer/tensor/memory.hpp"
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

namespace {

/// A cache of a model's in tensors and a frame that the caller keeps.
struct kept_apart {
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  std::optional<cache_frame> frame;

  explicit kept_apart(const causal_lm& model) {
    const cache source = prefill(model, {some_tokens(5)});
    frame = source.view().frame();
    for (std::int64_t layer = 0; layer < source.view().layers(); ++layer) {
      keys.push_back(source.view().layer(layer).keys().clone());
      values.push_back(source.view().layer(layer).values().clone());
    }
  }

  plan input() const { return prepend(cache_view<>(keys, values, *frame, as_written), {some_tokens(3)}); }
};

}  // namespace

TEST_CASE("a plan whose memory or frame is gone is like none", "[model][plan_identity]") {
  const causal_lm model = small_model();
  kept_apart parts(model);
  const plan_identity known(parts.input());
  CHECK(known.is_like(plan_identity(parts.input())));
  SECTION("keys") { parts.keys[0].reset(); }
  SECTION("values") { parts.values.back().reset(); }
  SECTION("frame") { parts.frame.reset(); }
  CHECK_FALSE(known.is_like(known));
}

TEST_CASE("a plan whose memory this library has changed is like none", "[model][plan_identity]") {
  const causal_lm model = small_model();
  const kept_apart parts(model);
  const plan_identity known(parts.input());
  memory_changes::instance().note({memory_of(parts.values.back())}, "test");
  CHECK_FALSE(known.is_like(plan_identity(parts.input())));
  const plan_identity anew(parts.input());
  CHECK(anew.is_like(plan_identity(parts.input())));
}
