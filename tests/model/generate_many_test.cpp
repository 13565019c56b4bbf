#include "kvtransfer/model/generate_many.hpp"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/rand.h>

#include <algorithm>
#include <deque>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "kvtransfer/cache/convert.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/session.hpp"
#include "kvtransfer/tensor/position_tensor.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// A model whose rotation depends on the length, past the length where it begins to.
nlohmann::json dynamic_config() {
  nlohmann::json config = small_config();
  config["max_position_embeddings"] = 12;
  config["rope_scaling"] = {{"rope_type", "dynamic"}, {"factor", 2.0}};
  return config;
}

nlohmann::json window_config() {
  nlohmann::json config = small_config();
  config["architectures"] = {"MistralForCausalLM"};
  config["model_type"] = "mistral";
  config["sliding_window"] = 6;
  return config;
}

/// Requests of a few plans: texts, texts behind shared sources, and layers that see different parts of those.
class random_requests {
 public:
  random_requests(const causal_lm& model, std::uint32_t seed) : model_(model), random_(seed) {
    for (std::int64_t i = 0; i < 3; ++i) {
      sources_.push_back(prefill(model, {some_tokens(2 + below(9), i)}));
    }
    for (std::int64_t i = 0; i < 6; ++i) {
      plans_.push_back(any_plan());
    }
  }

  std::vector<generation_request> make(std::int64_t count) {
    std::vector<generation_request> requests;
    for (std::int64_t i = 0; i < count; ++i) {
      generation_config settings{.max_new_tokens = below(9), .eos_token_ids = {below(97), below(97), below(97)}};
      settings.temperature = below(2) == 0 ? 0.0 : 1.5;
      settings.seeds = {static_cast<std::uint64_t>(below(4))};
      requests.push_back({plans_[static_cast<std::size_t>(below(6))], settings, below(2) == 0, below(2) == 0});
    }
    return requests;
  }

  std::int64_t below(std::int64_t n) { return static_cast<std::int64_t>(random_() % static_cast<unsigned>(n)); }

 private:
  plan any_plan() {
    const cache& source = sources_[static_cast<std::size_t>(below(3))];
    std::vector<std::int64_t> text = some_tokens(1 + below(6), below(50));
    const bool windows = model_.config.attention.front().window.has_value();  // which a plan has to fill
    switch (below(windows ? 2 : 3)) {
      case 0:
        return plan_of({text});
      case 1:
        return prepend(source.view(), {text}, place::gap{below(3)});
      default:
        break;
    }
    plan input = prepend(source.view(), {text});
    for (std::size_t layer = 0; layer < input.layers.size(); ++layer) {
      const std::int64_t end = 1 + below(source.length());
      const at::Tensor visible =
          at::rand({1, 1 + below(2), end}, at::make_generator<at::CPUGeneratorImpl>(random_())) < 0.6;
      input.layers[layer] = {segment(source.view().slice(0, end), static_cast<std::int64_t>(layer), visible)};
    }
    return input;
  }

  const causal_lm& model_;
  std::mt19937 random_;
  std::vector<cache> sources_;
  std::vector<plan> plans_;
};

/// The request alone, through a session.
generation_result alone(const causal_lm& model, const generation_request& request) {
  session running(model, request.input, request.settings.max_new_tokens + 1);
  completion said = generate(model, running, request.settings).front();
  if (request.reads_eos && said.eos_token_id) {
    running.step({said.eos_token_id});
  }
  return {std::move(said), std::move(running).release()};
}

void check_alike(const generation_result& made, const generation_result& expected, bool wants_cache) {
  CHECK(made.said.token_ids == expected.said.token_ids);
  CHECK(made.said.stop == expected.said.stop);
  CHECK(made.said.eos_token_id == expected.said.eos_token_id);
  REQUIRE(made.said.top2_margins.size() == expected.said.top2_margins.size());
  for (std::size_t i = 0; i < made.said.top2_margins.size(); ++i) {
    CHECK(made.said.top2_margins[i] == Approx(expected.said.top2_margins[i]).margin(1e-4));
  }
  REQUIRE(made.left.has_value() == wants_cache);
  if (!wants_cache) {
    return;
  }
  CHECK(made.left->stored() == expected.left->stored());
  const cache_view<> left = made.left->view();
  const cache_view<> other = expected.left->view();
  for (std::int64_t layer = 0; layer < left.layers(); ++layer) {
    const auto difference = [&](const at::Tensor& a, const at::Tensor& b) {
      return a.numel() == 0 ? 0 : max_difference(a, b);
    };
    const layer_view<>& mine = left.layer(layer);
    const layer_view<>& theirs = other.layer(layer);
    const at::Tensor keys =
        validity_tensor(theirs.frame().positions, theirs.keys().device()).unsqueeze(-1).to(at::kFloat);
    const auto held = [&](const at::Tensor& slots) { return slots.to(theirs.keys().device()) * keys; };
    CHECK(difference(held(mine.keys()), held(theirs.keys())) < 1e-4);
    CHECK(difference(held(mine.values()), held(theirs.values())) < 1e-4);
  }
}

}  // namespace

TEST_CASE("texts continued together say what each says alone, however they are grouped", "[model][generate_many]") {
  std::int64_t close = 0;
  for (const nlohmann::json& config : {small_config(), window_config(), dynamic_config()}) {
    const causal_lm model = small_model(1, config);
    for (std::uint32_t round = 0; round < 3; ++round) {
      CAPTURE(config["model_type"], config.contains("rope_scaling"), round);
      random_requests random(model, round);
      const std::vector<generation_request> requests = random.make(30);
      const batching how{.most_sequences = 1 + random.below(12)};
      const std::vector<generation_result> made = generate_many(model, requests, how);
      for (std::size_t i = 0; i < requests.size(); ++i) {
        CAPTURE(i);
        const generation_result expected = alone(model, requests[i]);
        close += expected.said.close_calls > 0 ? 1 : 0;
        if (expected.said.close_calls == 0) {  // else chance may decide
          check_alike(made[i], expected, requests[i].keeps_cache);
        }
      }
    }
  }
  CHECK(close < 40);  // of 270
}

namespace {

causal_lm on_gpu(const causal_lm& model) {
  model_weights weights = model.weights;
  const bool tied = weights.lm_head.is_same(weights.embed_tokens);
  for_each_parameter(weights, [](const std::string&, at::Tensor& tensor) { tensor = tensor.to(at::kCUDA); });
  if (tied) {
    weights.lm_head = weights.embed_tokens;
  }
  return causal_lm::of(model.config, std::move(weights));
}

/// Text alone, so that the same requests go to any device.
std::vector<generation_request> text_requests() {
  std::vector<generation_request> requests;
  for (std::int64_t i = 0; i < 40; ++i) {
    generation_config settings{.max_new_tokens = 3 + i % 29, .eos_token_ids = {i % 97}};
    settings.temperature = i % 2 == 0 ? 0.0 : 1.2;
    settings.seeds = {static_cast<std::uint64_t>(i)};
    requests.push_back({plan_of({some_tokens(2 + i % 5, i % 3)}), settings, true, i % 3 == 0});
  }
  return requests;
}

}  // namespace

TEST_CASE("a GPU says what the CPU says, whether steps are made anew or replayed", "[model][generate_many][cuda]") {
  if (!cuda_available()) {
    return;
  }
  for (const nlohmann::json& config : {small_config(), window_config(), dynamic_config()}) {
    const causal_lm model = small_model(1, config);
    const causal_lm there = on_gpu(model);
    const std::vector<generation_request> requests = text_requests();
    for (const std::int64_t most : {1, 5, 64}) {
      const std::vector<generation_result> expected = generate_many(model, requests, {.most_sequences = most});
      for (const bool replays : {false, true}) {
        const std::vector<generation_result> made =
            generate_many(there, requests, {.most_sequences = most, .replays_steps = replays});
        for (std::size_t i = 0; i < requests.size(); ++i) {
          CAPTURE(config["model_type"], config.contains("rope_scaling"), most, replays, i);
          if (expected[i].said.close_calls == 0) {  // else chance may decide
            check_alike(made[i], expected[i], true);
          }
        }
      }
    }
  }
}

TEST_CASE("every request has one result, in the order of the requests", "[model][generate_many]") {
  const causal_lm model = small_model();
  std::vector<generation_request> requests;
  for (std::int64_t i = 0; i < 11; ++i) {
    requests.push_back({plan_of({some_tokens(3, i % 4)}), {.max_new_tokens = i}});
  }
  std::size_t next = 0;
  std::multiset<std::size_t> finished;
  generate_many(
      model,
      [&]() -> std::optional<generation_request> {
        return next < requests.size() ? std::optional(requests[next++]) : std::nullopt;
      },
      [&](std::size_t index, const generation_result& result) {
        finished.insert(index);
        CHECK(result.said.token_ids.size() == index);
        CHECK_FALSE(result.left.has_value());
      },
      {.most_sequences = 1});
  CHECK(finished == std::multiset<std::size_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
}

namespace {

/// Places for the tensors of a cache, of which the first free one is taken, as an allocator does.
class few_places {
 public:
  /// The same numbers in such a place, in `frame`.
  cache_view<> copied(const cache_view<>& source, const cache_frame& frame) {
    const auto place = static_cast<std::size_t>(std::ranges::find(users_, 0) - users_.begin());
    if (place == users_.size()) {
      users_.push_back(0);
      numbers_.emplace_back();
    }
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    for (std::int64_t layer = 0; layer < source.layers(); ++layer) {
      keys.push_back(placed(source.layer(layer).keys(), place, keys.size() + values.size()));
      values.push_back(placed(source.layer(layer).values(), place, keys.size() + values.size()));
    }
    return cache_view<>(keys, values, frame, as_written);
  }

  std::size_t size() const { return users_.size(); }

 private:
  at::Tensor placed(const at::Tensor& tensor, std::size_t place, std::size_t index) {
    std::deque<std::vector<float>>& there = numbers_[place];
    if (index == there.size()) {
      there.emplace_back(static_cast<std::size_t>(tensor.numel()));
    }
    ++users_[place];
    at::Tensor copy = at::from_blob(there[index].data(), tensor.sizes(), [this, place](void*) { --users_[place]; });
    return copy.copy_(tensor);
  }

  std::deque<std::deque<std::vector<float>>> numbers_;  // place, tensor
  std::vector<int> users_;                              // tensors that live in each place
};

/// What is said to `count` requests, each made by `asked(index)` when there is room for it and not before.
template <class Asked>
std::vector<std::vector<std::int64_t>> said_to(const causal_lm& model, std::int64_t count, const Asked& asked,
                                               const batching& how) {
  std::int64_t next = 0;
  std::vector<std::vector<std::int64_t>> said(static_cast<std::size_t>(count));
  generate_many(
      model,
      [&]() -> std::optional<generation_request> { return next < count ? std::optional(asked(next++)) : std::nullopt; },
      [&](std::size_t index, const generation_result& result) { said[index] = result.said.token_ids; }, how);
  return said;
}

}  // namespace

TEST_CASE("caches are told apart where one lies where another lay that is gone", "[model][generate_many]") {
  const causal_lm model = small_model();
  const cache_frame frame = prefill(model, {some_tokens(6)}).view().frame();  // the same one of all
  few_places places;
  const auto asked = [&](std::int64_t i) -> generation_request {
    const cache source = prefill(model, {some_tokens(6, i)});
    return {prepend(places.copied(source.view(), frame), {some_tokens(3)}), {.max_new_tokens = 9}};
  };
  const std::vector<std::vector<std::int64_t>> said = said_to(model, 24, asked, {.most_sequences = 3});
  CHECK(places.size() < 24);
  for (std::int64_t i = 0; i < 24; ++i) {
    const generation_result expected = alone(model, asked(i));
    if (expected.said.close_calls == 0) {  // else chance may decide
      CHECK(said[static_cast<std::size_t>(i)] == expected.said.token_ids);
    }
  }
}

TEST_CASE("a cache that is written anew while a plan behind it runs is another", "[model][generate_many]") {
  const causal_lm model = small_model();
  const std::vector<cache> sources = [&] {
    std::vector<cache> made;
    for (std::int64_t i = 0; i < 3; ++i) {
      made.push_back(prefill(model, {some_tokens(6, i)}));
    }
    return made;
  }();
  const cache_frame frame = sources[0].view().frame();
  cache_view<> written = convert(sources[0].view(), layouts::batch_heads_seq_dim());
  const auto asked = [&](std::int64_t index) -> generation_request {
    const auto i = static_cast<std::size_t>(index);
    if (i == 1) {
      return {prepend(sources[1].view(), {some_tokens(7)}), {.max_new_tokens = 9}};
    }
    std::vector<at::Tensor> keys;
    std::vector<at::Tensor> values;
    std::vector<at::Tensor> from_keys;
    std::vector<at::Tensor> from_values;
    for (std::int64_t layer = 0; layer < written.layers(); ++layer) {
      keys.push_back(written.layer(layer).stored_keys());
      values.push_back(written.layer(layer).stored_values());
      from_keys.push_back(sources[i].view().layer(layer).keys());
      from_values.push_back(sources[i].view().layer(layer).values());
    }
    written = convert_into(cache_view<>(from_keys, from_values, frame, as_written), keys, values,
                           layouts::batch_heads_seq_dim());
    return {prepend(written, {some_tokens(3)}), {.max_new_tokens = 9}};
  };
  const std::vector<std::vector<std::int64_t>> said = said_to(model, 3, asked, {.most_sequences = 1});
  for (const std::size_t i : {0U, 2U}) {
    const generation_request same{prepend(sources[i].view(), {some_tokens(3)}), {.max_new_tokens = 9}};
    CHECK(said[i] == alone(model, same).said.token_ids);
  }
  CHECK(said[0] != said[2]);
}

TEST_CASE("requests behind one cache run together however many bytes it has", "[model][generate_many]") {
  nlohmann::json config = small_config();
  config["max_position_embeddings"] = 2048;
  config["num_hidden_layers"] = 24;
  const causal_lm model = small_model(1, config);
  const cache source = prefill(model, {some_tokens(800)});
  std::vector<generation_request> requests;
  for (std::int64_t i = 0; i < 48; ++i) {
    requests.push_back({prepend(source.view(), {some_tokens(3, i)}), {.max_new_tokens = 8}});
  }
  std::int64_t calls = 0;
  (void)generate_many(model, requests, {.after_steps = [&](std::int64_t) { ++calls; }});
  CHECK(calls < 48);  // 8 for each of a few batches
}

TEST_CASE("a text longer than those read together is read like the others", "[model][generate_many]") {
  nlohmann::json config = small_config();
  config["max_position_embeddings"] = 512;
  const causal_lm model = small_model(1, config);
  const cache source = prefill(model, {some_tokens(20)});
  std::vector<generation_request> requests;
  for (const std::int64_t length : {300, 5, 280}) {
    requests.push_back({prepend(source.view(), {some_tokens(length)}), {.max_new_tokens = 6}, true});
  }
  const std::vector<generation_result> made = generate_many(model, requests);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    check_alike(made[i], alone(model, requests[i]), true);
  }
}

TEST_CASE("generation in batches stops at the last position that the model knows", "[model][generate_many]") {
  nlohmann::json config = small_config();
  config["max_position_embeddings"] = 8;
  const causal_lm model = small_model(1, config);
  const std::vector<generation_result> made = generate_many(
      model,
      {{plan_of({some_tokens(5)}), {.max_new_tokens = 20}}, {plan_of({some_tokens(2, 3)}), {.max_new_tokens = 6}}});
  CHECK(made[0].said.stop == stop_reason::positions);
  CHECK(made[0].said.token_ids.size() == 4);
  CHECK(made[1].said.stop == stop_reason::length);
}

TEST_CASE("a batch that memory does not hold is refused with what it needs", "[model][generate_many]") {
  const causal_lm model = small_model();
  const std::vector<generation_request> one{{plan_of({some_tokens(5)}), {.max_new_tokens = 3}}};
  const std::string refused =
      message_of<out_of_memory_error>([&] { (void)generate_many(model, one, {.most_bytes = 1000}); });
  CHECK_THAT(refused, contains("generate_many: memory: expected "));
  CHECK_THAT(refused, contains(" bytes on cpu for one sequence of 8 slots, got 1000 bytes, of "));
}

TEST_CASE("less memory makes smaller batches of the same results", "[model][generate_many]") {
  const causal_lm model = small_model();
  std::vector<generation_request> requests;
  for (std::uint64_t i = 0; i < 12; ++i) {
    const std::vector<std::int64_t> text = some_tokens(5, static_cast<std::int64_t>(i % 3));
    requests.push_back({plan_of({text}), {.max_new_tokens = 5, .temperature = 1.0, .seeds = {i}}});
  }
  const std::vector<generation_result> free = generate_many(model, requests);
  const std::vector<generation_result> tight = generate_many(model, requests, {.most_bytes = 200000});
  for (std::size_t i = 0; i < requests.size(); ++i) {
    CHECK(free[i].said.token_ids == tight[i].said.token_ids);
  }
}

TEST_CASE("requests that no runner takes are refused in the runners' words", "[model][generate_many]") {
  const causal_lm model = small_model();
  const auto run = [&](plan input, generation_config settings) {
    return [&model, input, settings] { (void)generate_many(model, {{input, settings}}); };
  };
  CHECK(message_of<value_error>(run(plan_of({{5, 97}}), {})) ==
        message_of<value_error>([&] { session(model, plan_of({{5, 97}})); }));
  CHECK_THROWS_AS(run(plan_of({{1}, {2}}), {})(), shape_error);
  CHECK_THROWS_AS(run(plan_of({{1}}), {.max_new_tokens = -1})(), value_error);
  CHECK_THROWS_AS(run(plan_of({{1}}), {.seeds = {1, 2}})(), shape_error);
  CHECK_THROWS_AS(generate_many(model, std::vector<generation_request>{}, {.most_sequences = 0}), value_error);
  CHECK(generate_many(model, std::vector<generation_request>{}).empty());
}
