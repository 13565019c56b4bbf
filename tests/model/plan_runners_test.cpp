// Any plan that one runner takes, all take, and what it means is what `slow_reference` spells out; any plan that one
// refuses, all refuse in the same words.

#include <ATen/ops/argmax.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rand.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <random>

#include "kvtransfer/cache/select_layers.hpp"
#include "kvtransfer/cache/with_dtype.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/controls.hpp"
#include "kvtransfer/inject/noise.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "kvtransfer/model/score.hpp"
#include "model/slow_reference.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

using token_rows = std::vector<std::vector<std::int64_t>>;

/// A plan that reads `texts` from position 20 on, with nothing injected in any layer yet.
plan far_away(const causal_lm& model, token_rows texts) {
  plan input = plan_of(std::move(texts));
  input.positions = input.positions.shifted(20);
  input.layers.resize(static_cast<std::size_t>(model.config.layers));
  return input;
}

/// `input` with `more` read behind each sequence's tokens.
plan continued(plan input, const token_rows& more) {
  std::vector<position_row> rows;
  const std::int64_t longest = input.size() + static_cast<std::int64_t>(more.front().size());
  for (std::size_t b = 0; b < more.size(); ++b) {
    const auto row = static_cast<std::int64_t>(b);
    input.token_ids[b] = joined(input.token_ids[b], more[b]);
    const auto count = static_cast<std::int64_t>(input.token_ids[b].size());
    const std::int64_t last = input.positions.row(0, row, 0).last_position().value();
    const auto first = last + 1 + static_cast<std::int64_t>(more[b].size()) - count;
    rows.push_back(kvtransfer::detail::padded_left(position_row::consecutive(first, count), longest));
  }
  input.positions = position_map(1, input.batch(), 1, std::move(rows));
  return input;
}

/// Every runner's logits of `input`, and those of two tokens more, against the reference.
void check_runners(const causal_lm& model, const plan& input) {
  const at::Tensor expected = reference_logits(model, input);
  const at::Tensor logits = plan_logits(model, input);
  CHECK(max_difference(logits.select(1, input.size() - 1), expected) < 1e-4);
  session running(model, input, 2);
  CHECK(max_difference(running.logits(), expected) < 1e-4);
  const generation_output made = generate(model, input, {.max_new_tokens = 1});
  token_rows more;
  for (std::int64_t b = 0; b < input.batch(); ++b) {
    const auto best = expected[b].argmax().item<std::int64_t>();
    CHECK(made.sequences[static_cast<std::size_t>(b)].token_ids == std::vector<std::int64_t>{best});
    more.push_back({best, 40 + b});
  }
  for (std::size_t step = 0; step < 2; ++step) {
    std::vector<std::optional<std::int64_t>> next;
    for (const std::vector<std::int64_t>& row : more) {
      next.emplace_back(row[step]);
    }
    running.step(next);
  }
  CHECK(max_difference(running.logits(), reference_logits(model, continued(input, more))) < 1e-4);
}

/// What `run` throws, with its type's name where it is one of the library's.
std::string complaint(const std::function<void()>& run) {
  try {
    run();
  } catch (const shape_error& thrown) {
    return std::string("shape_error ") + thrown.what();
  } catch (const frame_error& thrown) {
    return std::string("frame_error ") + thrown.what();
  } catch (const value_error& thrown) {
    return std::string("value_error ") + thrown.what();
  }
  return "nothing";
}

/// What every runner says of `input`; fails where they disagree.
std::string refusal(const causal_lm& model, const plan& input) {
  const std::string by_session = complaint([&] { session(model, input); });
  CHECK(complaint([&] { plan_logits(model, input); }) == by_session);
  CHECK(complaint([&] { generate(model, input, {.max_new_tokens = 1}); }) == by_session);
  return by_session;
}

/// Random segments for every layer from two caches of a batch of two, some slices empty, some slots hidden.
plan random_plan(const causal_lm& model, const std::vector<const cache*>& sources, std::mt19937& random) {
  const auto below = [&](std::int64_t n) { return static_cast<std::int64_t>(random() % static_cast<unsigned>(n)); };
  plan input = far_away(model, {some_tokens(1 + below(4), below(50)), some_tokens(1 + below(4), below(50))});
  for (std::size_t layer = 0; layer < input.layers.size(); ++layer) {
    for (std::int64_t count = below(4); count > 0; --count) {
      const cache& source = *sources[static_cast<std::size_t>(below(2))];
      const std::int64_t begin = below(source.length() + 1);
      const std::int64_t end = begin + below(source.length() - begin + 1);
      at::Tensor visible;
      if (below(2) == 0) {
        visible = at::rand({2, 1 + below(2), end - begin}, at::make_generator<at::CPUGeneratorImpl>(random())) < 0.6;
      }
      input.layers[layer].emplace_back(source.view().slice(begin, end), static_cast<std::int64_t>(layer), visible);
    }
  }
  return input;
}

}  // namespace

TEST_CASE("the slow reference says of plain text what the model says", "[model][plan_runners]") {
  const causal_lm model = small_model();
  check_runners(model, plan_of({some_tokens(5)}));
  check_runners(model, prepend(prefill(model, {some_tokens(4)}).view(), {some_tokens(3, 2)}));
}

TEST_CASE("nothing need be injected in the first layer", "[model][plan_runners]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(5)});
  plan input = far_away(model, {some_tokens(3, 1)});
  input.layers[1].emplace_back(source.view(), 1);
  check_runners(model, input);
}

TEST_CASE("a segment may be empty", "[model][plan_runners]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(5)});
  plan input = far_away(model, {some_tokens(3, 1)});
  for (std::int64_t layer = 0; layer < model.config.layers; ++layer) {
    input.layers[static_cast<std::size_t>(layer)].emplace_back(source.view().slice(2, 2), layer);
  }
  check_runners(model, input);
  plan alone = input;
  alone.layers.clear();
  CHECK(max_difference(session(model, input).logits(), session(model, alone).logits()) < 1e-5);
}

TEST_CASE("a source shown to all sequences may be empty", "[model][plan_runners]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(5)});
  check_runners(model, prepend(source.view().slice(2, 2), {some_tokens(3, 1), some_tokens(2, 2)}));
}

TEST_CASE("a layer may have two segments, another none", "[model][plan_runners]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(5)});
  plan input = far_away(model, {some_tokens(3, 1)});
  input.layers[0].emplace_back(source.view().slice(0, 2), 0);
  input.layers[0].emplace_back(source.view().slice(3, 5), 0);
  input.layers[2].emplace_back(source.view(), 2);
  check_runners(model, input);
}

TEST_CASE("two segments that are one text are that text", "[model][plan_runners]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(6)});
  plan input = prepend(source.view(), {some_tokens(3, 1)});
  for (std::int64_t layer = 0; layer < model.config.layers; ++layer) {
    input.layers[static_cast<std::size_t>(layer)] = {segment(source.view().slice(0, 2), layer),
                                                     segment(source.view().slice(2, 6), layer)};
  }
  const plan text = plan_of({joined(some_tokens(6), some_tokens(3, 1))});
  CHECK(max_difference(session(model, input).logits(), session(model, text).logits()) < 1e-4);
  const cache left = generate(model, input, {.max_new_tokens = 3}).running.release();
  const cache whole = generate(model, text, {.max_new_tokens = 3}).running.release();
  CHECK(left.stored() == whole.stored());
}

TEST_CASE("random plans mean in every runner what they say", "[model][plan_runners]") {
  const causal_lm model = small_model();
  const cache first = prefill(model, {some_tokens(6), some_tokens(3, 1)});  // the second row behind padding
  cache second = prefill(model, {some_tokens(4, 5), some_tokens(5, 6)});
  second.shift(9);
  second.materialize();
  std::mt19937 random(11);
  for (int round = 0; round < 25; ++round) {
    CAPTURE(round);
    check_runners(model, random_plan(model, {&first, &second}, random));
  }
}

TEST_CASE("what a plan hides stays hidden in the cache that it leaves", "[model][plan_runners]") {
  const causal_lm model = small_model();
  const cache first = prefill(model, {some_tokens(6), some_tokens(3, 1)});
  const cache second = prefill(model, {some_tokens(4, 5), some_tokens(5, 6)});
  std::mt19937 random(5);
  const token_rows more = {some_tokens(2, 7), some_tokens(2, 8)};
  for (int round = 0; round < 15; ++round) {
    CAPTURE(round);
    const plan input = random_plan(model, {&first, &second}, random);
    const cache left = session(model, input).release();
    const at::Tensor expected = reference_logits(model, continued(input, more));
    CHECK(max_difference(session(model, prepend(left.view(), more)).logits(), expected) < 1e-4);
  }
}

TEST_CASE("a slot that a plan hides takes no room in a window, then and later", "[model][plan_runners]") {
  nlohmann::json config = small_config();
  config["architectures"] = {"MistralForCausalLM"};
  config["model_type"] = "mistral";
  config["sliding_window"] = 6;
  const causal_lm model = small_model(1, config);
  const cache source = prefill(model, {some_tokens(9), some_tokens(9, 1)});
  plan input = prepend(source.view(), {some_tokens(2, 2), some_tokens(2, 3)});
  at::Tensor shown = at::ones({2, 1, 9}, at::kBool);
  shown.select(2, 7).fill_(false);
  shown[1][0][4].fill_(false);
  for (std::vector<segment>& layer : input.layers) {
    layer.front().visible = shown;
  }
  session running(model, input, 2);
  const plan later = prepend(session(model, input).release().view(), {{5, 6}, {7, 8}});
  running.step({5, 7});
  running.step({6, 8});
  CHECK(max_difference(session(model, later).logits(), running.logits()) < 1e-4);
  CHECK(max_difference(plan_logits(model, later).select(1, 1), running.logits()) < 1e-4);
}

TEST_CASE("hidden slots become padding of those heads and sequences alone", "[model][plan_runners]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {{3, 4, 5}, {6, 7, 8}});
  plan input = prepend(source.view(), {{9}, {10}});
  at::Tensor shown = at::ones({2, 2, 3}, at::kBool);
  shown[0][1][2].fill_(false);
  shown[1].select(1, 0).fill_(false);
  input.layers[1].front().visible = shown;
  const cache left = session(model, input).release();
  const position_map& positions = left.stored().layer(1).positions;
  CHECK(positions.heads() == 2);
  CHECK(positions.row(0, 0, 0).key_count() == 4);
  CHECK(positions.row(0, 0, 1) == [] {
    position_row row = position_row::consecutive(0, 2);
    row.append(position_row::consecutive(0, 1, slot_state::padding()));
    row.append(position_row::consecutive(3, 1));
    return row;
  }());
  CHECK(positions.row(0, 1, 0).key_count() == 3);
  CHECK(positions.row(0, 1, 1).key_count() == 3);
  CHECK(left.stored().layer(0).positions == position_map::consecutive(0, 4, 2));
  CHECK(left.stored().token_ids() == token_rows{{3, 4, 5, 9}, {6, 7, 8, 10}});  // layer 0 has them all
  for (std::vector<segment>& layer : input.layers) {
    layer.front().visible = shown;
  }
  CHECK(session(model, input).release().stored().token_ids() == token_rows{{3, 4, 5, 9}, {-1, 7, 8, 10}});
}

TEST_CASE("what was done to injected numbers is told by the plan and by the cache that it leaves",
          "[model][plan_runners]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(5)});
  const cache noise = moment_matched_noise(source.view(), 7);
  plan input = prepend(noise.view(), {{1, 2}});
  REQUIRE((input.edits() == noise.stored().edits()));
  CHECK((session(model, input).release().stored().edits() == noise.stored().edits()));
  input.layers[1].insert(input.layers[1].begin(), segment(source.view().slice(0, 2), 1));
  const std::vector<cache_edit> apart = {{edit_kind::noise, cache_half::both, {0, 2}, {}, {{0, 5}}, "seed 7"},
                                         {edit_kind::noise, cache_half::both, {1}, {}, {{2, 5}}, "seed 7"}};
  CHECK((input.edits() == apart));
  CHECK((session(model, input).release().stored().edits() == apart));
}

TEST_CASE("a session's length is that of its longest layer", "[model][plan_runners]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(5)});
  plan input = far_away(model, {some_tokens(3, 1)});
  input.layers[2].emplace_back(source.view(), 2);
  session running(model, input, 1);
  CHECK(running.length() == 8);
  running.step({1});
  const cache left = std::move(running).release();
  CHECK(left.stored().layer(0).size() == 4);
  CHECK(left.stored().layer(2).size() == 9);
  CHECK(left.stored().token_ids().empty());  // what is text of one layer is not of another
  CHECK(left.stored().model() == model.identity);
}

TEST_CASE("a plan of another number of layers is refused: they would go into the first ones", "[model][plan_runners]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(4)});
  for (const std::size_t layers : {1U, 2U, 4U}) {
    plan input = prepend(source.view(), {{1, 2}});
    input.layers.resize(layers);
    CHECK_THAT(refusal(model, input), StartsWith("frame_error plan: layers: expected the model's 3 layers, got"));
  }
}

TEST_CASE("a plan that mixes two models' caches is refused, whichever segment is foreign", "[model][plan_runners]") {
  const causal_lm model = small_model(1);
  const cache own = prefill(model, {some_tokens(4)});
  cache foreign = prefill(small_model(2), {some_tokens(3, 1)});
  foreign.shift(4);
  foreign.materialize();
  plan input = prepend(own.view(), {{1, 2}});
  input.layers[2].emplace_back(foreign.view(), 2);
  CHECK_THAT(refusal(model, input), StartsWith("frame_error plan: layer 2: model: expected digest"));
  input.layers[2].pop_back();
  CHECK(refusal(model, input) == "nothing");
  foreign.assume_frame(foreign.target());
  input.layers[2].emplace_back(foreign.view(), 2);
  CHECK(refusal(model, input) == "nothing");
  CHECK(input.assumed());
  const cache left = session(model, input).release();
  CHECK(left.stored().assumed());
  CHECK_FALSE(left.stored().origin().is_known());  // two models wrote it
}

TEST_CASE("an assumed frame turns off the checks of its own segment alone", "[model][plan_runners]") {
  const causal_lm model = small_model(1);
  cache assumed = prefill(model, {some_tokens(4)});
  assumed.assume_frame(assumed.target());
  const cache foreign = prefill(small_model(2), {some_tokens(3, 1)});
  plan input = prepend(assumed.view(), {{1, 2}});
  input.layers[0].emplace_back(foreign.view(), 0);
  CHECK_THAT(refusal(model, input), StartsWith("frame_error plan: layer 0: model: expected digest"));
}

TEST_CASE("a segment is read in the layer that it was made of, and in no other unless that is assumed",
          "[model][plan_runners]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(4)});
  REQUIRE(source.stored().shared(0) == source.stored().shared(2));  // nothing else tells the two layers apart
  const std::string refused =
      "frame_error plan: layer 0: segment: expected one of a cache's layer 0 (assume_frame lets another in), got one "
      "of layer 2";
  plan swapped = prepend(source.view(), {{1, 2}});
  std::swap(swapped.layers[0], swapped.layers[2]);
  CHECK(refusal(model, swapped) == refused);
  plan doubled = prepend(source.view(), {{1, 2}});
  doubled.layers[0].front() = segment(source.view().slice(0, 3), 2);
  CHECK(refusal(model, doubled) == refused);
  const plan right = prepend(source.view(), {{1, 2}});
  for (plan* const input : {&swapped, &doubled}) {
    CHECK(complaint([&] { score(model, *input, {5, 6}); }) == refused);
    CHECK(complaint([&] { score_each(model, *input, {{5, 6}, {7}}); }) == refused);
  }
  CHECK(complaint([&] { score_each(model, right, {{5, 6}, {7}}); }) == "nothing");

  const cache_view<> named = source.view().assume_frame(source.stored());
  plan assumed = prepend(named, {{1, 2}});
  std::swap(assumed.layers[0], assumed.layers[2]);
  CHECK(refusal(model, assumed) == "nothing");
  CHECK(assumed.assumed());
  CHECK(session(model, assumed).release().stored().assumed());
  CHECK(max_difference(plan_logits(model, assumed), plan_logits(model, right)) > 0.1);
}

TEST_CASE("layers that a control has exchanged say so, and are read where it put them", "[model][plan_runners]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(4)});
  const cache shuffled = with_shuffled_layers(source.view(), 3);
  const plan input = prepend(shuffled.view(), {{1, 2}});
  CHECK(refusal(model, input) == "nothing");
  CHECK(input.edits().size() == 1);
  const cache_view<> chosen = select_layers(source.view(), {2, 1, 0});
  CHECK_THAT(refusal(model, prepend(chosen, {{1, 2}})), StartsWith("frame_error plan: layer 0: model: expected"));
}

TEST_CASE("a cache of another dtype is refused, and taken once it is converted", "[model][plan_runners]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(4)});
  const cache rounded = with_dtype(source.view(), at::kBFloat16);
  CHECK(refusal(model, prepend(rounded.view(), {{1, 2}})) ==
        "frame_error plan: layer 0: expected keys in the model's Float (with_dtype converts a cache), got BFloat16");
  const cache back = with_dtype(rounded.view(), at::kFloat);
  CHECK(refusal(model, prepend(back.view(), {{1, 2}})) == "nothing");
  CHECK(back.stored() == source.stored());
  CHECK(max_difference(back.view().layer(1).keys(), source.view().layer(1).keys()) > 0);
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t layer = 0; layer < source.layers(); ++layer) {
    keys.push_back(source.view().layer(layer).keys());
    values.push_back(source.view().layer(layer).values().to(at::kHalf));
  }
  CHECK(refusal(model, prepend(cache_view<>(keys, values, source.stored()), {{1, 2}})) ==
        "frame_error plan: layer 0: expected values in the model's Float (with_dtype converts a cache), got Half");
  CHECK_THROWS_AS(with_dtype(source.view(), at::kLong), value_error);
}

TEST_CASE("a token without a position, and a position without a token, are refused", "[model][plan_runners]") {
  const causal_lm model = small_model();
  plan input = plan_of({{1, 2, 3}, {4}});
  input.token_ids[1] = {4, 5};
  CHECK_THAT(refusal(model, input), StartsWith("frame_error plan: positions of sequence 1: expected 2 rotated keys"));
  input = plan_of({{1, 2, 3}});
  input.positions = position_map::consecutive(0, 1);
  CHECK_THAT(refusal(model, input), StartsWith("shape_error plan: positions: expected [streams=1, batch=1, 1, seq=3]"));
  input.positions = position_map::consecutive(0, 3, 2);
  CHECK_THAT(refusal(model, input), StartsWith("shape_error plan: positions"));
  input.positions = position_map(position_row::consecutive(0, 3, slot_state::unrotated()));
  CHECK_THAT(refusal(model, input), StartsWith("frame_error plan: positions of sequence 0"));
  input.token_ids.clear();
  CHECK_THAT(refusal(model, input), StartsWith("shape_error plan: token_ids"));
}

TEST_CASE("a visibility that does not fit is refused before anything runs", "[model][plan_runners]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(4)});
  plan input = prepend(source.view(), {{1, 2}});
  input.layers[2].front().visible = at::ones({1, 1, 3}, at::kBool);
  CHECK_THAT(refusal(model, input), StartsWith("shape_error plan: visible: expected bool [batch=1, 2 or 1, seq=4]"));
}
