#include "kvtransfer/model/session.hpp"

#include <ATen/ops/equal.h>

#include <new>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "support/failing_allocator.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("feeding token by token scores what one pass scores", "[model][session]") {
  const causal_lm model = small_model();
  const auto text = some_tokens(8);
  session whole(model, plan_of({text}));
  session stepped(model, plan_of({{text.front()}}), 7);
  for (std::size_t i = 1; i < text.size(); ++i) {
    stepped.step({text[i]});
  }
  CHECK(max_difference(whole.logits(), stepped.logits()) < 1e-4);
  CHECK(whole.length() == stepped.length());
}

TEST_CASE("a session's cache holds what was injected and what was read, with its frame", "[model][session]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {{3, 4, 5}});
  session running(model, prepend(source.view(), {{6, 7}}), 1);
  running.step({8});
  const cache kv = std::move(running).release();
  CHECK(kv.length() == 6);
  CHECK(kv.stored().layer(0).positions == position_map::consecutive(0, 6));
  CHECK(kv.stored().token_ids() == std::vector<std::vector<std::int64_t>>{{3, 4, 5, 6, 7, 8}});
  CHECK(kv.stored().model() == model.identity);
  CHECK(kv.stored().shared(0) == kv.stored().shared(2));
  CHECK(at::equal(kv.view().layer(1).keys().slice(2, 0, 3), source.view().layer(1).keys()));
}

TEST_CASE("a row that gets no token keeps its place and gets a padding slot", "[model][session]") {
  const causal_lm model = small_model();
  session running(model, plan_of({{3, 4}, {5}}), 2);
  running.step({std::nullopt, 6});
  CHECK(running.next_positions() == std::vector<std::int64_t>{2, 2});
  running.step({7, 8});
  session alone(model, plan_of({{3, 4, 7}}));
  CHECK(max_difference(running.logits()[0], alone.logits()[0]) < 1e-4);
  const cache kv = std::move(running).release();
  CHECK(kv.stored().token_ids() == std::vector<std::vector<std::int64_t>>{{3, 4, -1, 7}, {-1, 5, 6, 8}});
}

TEST_CASE("more tokens than the capacity asked for are refused", "[model][session]") {
  const causal_lm model = small_model();
  session running(model, plan_of({{3, 4}}), 1);
  running.step({5});
  CHECK_THROWS_AS(running.step({6}), shape_error);
  CHECK_THROWS_AS(session(model, plan_of({{3, 4}}), -1), value_error);
}

TEST_CASE("a step that is refused changes nothing", "[model][session]") {
  const causal_lm model = small_model();
  session running(model, plan_of({{3, 4}, {5, 6}}), 2);
  CHECK_THROWS_AS(running.step({5, 97}), value_error);
  CHECK_THROWS_AS(running.step({-5, 6}), value_error);
  CHECK_THROWS_AS(running.step({5}), shape_error);
  CHECK(running.next_positions() == std::vector<std::int64_t>{2, 2});
  running.step({7, 8});
  running.step({9, 10});
  CHECK_THROWS_AS(running.step({11, 12}), shape_error);
  CHECK(running.next_positions() == std::vector<std::int64_t>{4, 4});
  CHECK(max_difference(running.logits(), session(model, plan_of({{3, 4, 7, 9}, {5, 6, 8, 10}})).logits()) < 1e-4);
}

TEST_CASE("the number of tokens that a step reads is the number of sequences", "[model][session]") {
  const causal_lm model = small_model();
  session running(model, plan_of({{3, 4}}), 1);
  CHECK_THROWS_AS(running.step({5, 6}), shape_error);
}

TEST_CASE("a token past max_position_embeddings is refused", "[model][session]") {
  nlohmann::json config = small_config();
  config["max_position_embeddings"] = 4;
  const causal_lm model = small_model(1, config);
  CHECK_THROWS_AS(session(model, plan_of({{1, 2, 3, 4, 5}})), value_error);
  session running(model, plan_of({{1, 2, 3}}), 4);
  running.step({4});
  CHECK_THROWS_AS(running.step({5}), value_error);
}

TEST_CASE("what a plan hides from a layer's head is not seen", "[model][session]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(6)});
  const plan all = prepend(source.view(), {{1, 2}});
  plan none = all;
  plan one_head = all;
  for (std::size_t layer = 0; layer < all.layers.size(); ++layer) {
    none.layers[layer].front().visible = at::zeros({1, 1, 6}, at::kBool);
    at::Tensor shown = at::ones({1, 2, 6}, at::kBool);
    shown.select(1, 1).fill_(false);
    one_head.layers[layer].front().visible = shown;
  }
  plan alone = plan_of({{1, 2}});
  alone.positions = all.positions;
  const at::Tensor hidden = session(model, none).logits();
  CHECK(max_difference(hidden, session(model, alone).logits()) < 1e-4);
  const at::Tensor half = session(model, one_head).logits();
  CHECK(max_difference(half, hidden) > 1e-2);
  CHECK(max_difference(half, session(model, all).logits()) > 1e-2);
}

TEST_CASE("a step that runs out of memory anywhere reads nothing, and may be made again", "[model][session]") {
  const causal_lm model = small_model();
  const plan text = plan_of({{3, 4}, {5}});
  session expected(model, text, 2);
  expected.step({6, 7});
  const at::Tensor first = expected.logits().clone();
  expected.step({8, 9});
  int interrupted = 0;
  for (std::int64_t number = 0;; number += 3) {
    session running(model, text, 2);
    running.step({6, 7});
    try {
      const failing_allocator until(number);
      running.step({8, 9});
      break;
    } catch (const std::bad_alloc&) {
      ++interrupted;
    }
    REQUIRE(at::equal(running.logits(), first));
    REQUIRE(running.next_positions() == std::vector<std::int64_t>{3, 2});
    running.step({8, 9});
    REQUIRE(max_difference(running.logits(), expected.logits()) < 1e-5);
    REQUIRE(std::move(running).release().length() == 4);
  }
  CHECK(interrupted > 10);
}
