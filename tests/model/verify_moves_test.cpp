#include "kvtransfer/model/verify_moves.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/model/config.hpp"
#include "kvtransfer/rope/rotary_embedding.hpp"
#include "model/transformer_fixture.hpp"
#include "support/message.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

causal_lm in_dtype(causal_lm model, at::ScalarType dtype) {
  for_each_parameter(model.weights, [&](const std::string&, at::Tensor& tensor) { tensor = tensor.to(dtype); });
  if (model.config.tie_word_embeddings) {
    model.weights.lm_head = model.weights.embed_tokens;
  }
  return causal_lm::of(std::move(model.config), std::move(model.weights));
}

verify_moves_settings brief() { return {.lengths = {6}, .delta = 90, .tokens = 4}; }

std::vector<std::string> names_of(const moves_verdict& verdict) {
  std::vector<std::string> names;
  for (const move_check& check : verdict.checks) {
    names.push_back(check.name);
  }
  return names;
}

}  // namespace

TEST_CASE("the moves of a model hold in each type, as exactly as the type allows", "[model][verify_moves]") {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16, at::kHalf}) {
    const moves_verdict found =
        verify_moves(in_dtype(small_model(), dtype), {.lengths = {2, 30}, .delta = 90, .tokens = 6}, "small");
    CAPTURE(describe(found));
    CHECK(found.verdict == move_verdict::holds);
    CHECK_FALSE(found.reason);
    const std::vector<std::string> once{"shift", "remap", "un-rotate, rotate", "cut, close the gap", "save, load"};
    std::vector<std::string> twice = once;
    twice.insert(twice.end(), once.begin(), once.end());
    CHECK(names_of(found) == twice);
    REQUIRE(found.greedy.size() == 2);
    CHECK(found.greedy[1].token_ids.size() == 6);
    for (const move_check& check : found.checks) {
      REQUIRE(check.errors.size() == 3);  // one a layer
      CHECK((check.name == "save, load" || check.errors[check.worst_layer()] > 0));
    }
  }
}

TEST_CASE("the moves hold for every architecture: windows, layers without RoPE, norms", "[model][verify_moves]") {
  for (const std::string& name : transformer_fixture_names()) {
    const causal_lm model = causal_lm::open(model_fixtures() / name, at::kCPU, at::kFloat);
    const moves_verdict found = verify_moves(model, {.lengths = {9}, .delta = 40, .tokens = 2}, name);
    CAPTURE(describe(found));
    CHECK(found.verdict == move_verdict::holds);
  }
}

TEST_CASE("where frequencies depend on the length, layers are compared that can be", "[model][verify_moves]") {
  const causal_lm model = causal_lm::open(model_fixtures() / "dynamic-past-max-positions", at::kCPU, at::kFloat);
  const moves_verdict found = verify_moves(model, brief());
  CAPTURE(describe(found));
  CHECK(found.verdict == move_verdict::holds);
  CHECK(found.greedy.empty());
  CHECK(names_of(found) == std::vector<std::string>{"shift", "remap", "un-rotate, rotate", "save, load"});
  CHECK(found.checks.front().errors.size() == 1);
}

TEST_CASE("keys that are not rotated as they are taken to be do not hold", "[model][verify_moves]") {
  const causal_lm model = small_model();
  const std::vector<rotary_specification> own = rotary_specifications(model.config);
  const auto verdict_with = [&](auto&& change, at::ScalarType dtype = at::kFloat) {
    verify_moves_settings settings = brief();
    settings.specifications = own;
    for (rotary_specification& specification : settings.specifications) {
      change(specification);
    }
    return verify_moves(in_dtype(small_model(), dtype), settings);
  };
  CHECK(verdict_with([](rotary_specification&) {}).verdict == move_verdict::holds);
  const auto off_by_one_percent = [](rotary_specification& specification) {
    for (float& frequency : specification.inv_freq) {
      frequency *= 1.01F;
    }
  };
  const auto in_other_pairs = [](rotary_specification& specification) {
    specification.pairing = rope::pairing::interleaved;
  };
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const moves_verdict& found : {verdict_with(off_by_one_percent, dtype), verdict_with(in_other_pairs, dtype)}) {
      CAPTURE(describe(found));
      CHECK(found.verdict == move_verdict::does_not_hold);
      CHECK_THAT(found.reason.value_or(""), StartsWith("shift at length 6, remap at length 6"));
      CHECK_THAT(describe(found), contains("DOES NOT HOLD"));
      CHECK(found.checks.back().holds);  // what is saved is what is loaded, right or wrong
    }
  }
  // In the last layer alone: all others hold.
  verify_moves_settings settings = brief();
  settings.specifications = own;
  in_other_pairs(settings.specifications.back());
  const moves_verdict found = verify_moves(model, settings);
  CHECK(found.verdict == move_verdict::does_not_hold);
  CHECK(found.checks.front().worst_layer() == 2);
  CHECK(found.checks.front().errors[1] <= found.checks.front().tolerance[1]);
}

TEST_CASE("what cannot be tried is refused with the reason", "[model][verify_moves]") {
  const causal_lm model = small_model();
  const auto reason = [&](const verify_moves_settings& settings) {
    const moves_verdict found = verify_moves(model, settings);
    CHECK(found.verdict == move_verdict::refused);
    CHECK(found.checks.empty());
    return found.reason.value_or("");
  };
  CHECK(reason({.lengths = {16}}) ==
        "verify_moves: positions: expected length + delta + tokens of at most 256, got 16 + 500 + 24");
  CHECK(reason({.lengths = {}}) == "verify_moves: lengths: expected one or more, each 2 tokens or more, got []");
  CHECK(reason({.lengths = {8, 1}}) ==
        "verify_moves: lengths: expected one or more, each 2 tokens or more, got [8, 1]");
  CHECK(reason({.lengths = {8}, .delta = 0}) == "verify_moves: delta: expected 1 token or more, got 0");
  CHECK(reason({.lengths = {8}, .delta = 9, .tokens = -1}) == "verify_moves: tokens: expected 0 or more, got -1");
  CHECK(reason({.lengths = {8}, .delta = 9, .token_ids = {1, 2}}) ==
        "verify_moves: token_ids: expected at least 8, got 2");
  CHECK(reason({.lengths = {2}, .delta = 9, .token_ids = {1, 97}}) ==
        "plan: token_ids: expected 0 <= id < vocab_size = 97, got 97");
  CHECK(reason({.lengths = {8}, .delta = 9, .specifications = {{}, {}}}) ==
        "verify_moves: specifications: expected one for each of 3 layers, got 2");
}

TEST_CASE("a verdict is written as JSON with all it rests on", "[model][verify_moves]") {
  moves_verdict found = verify_moves(small_model(), brief(), "small");
  nlohmann::json written = nlohmann::json::parse(to_json(found));
  CHECK(written.at("verdict") == "holds");
  CHECK(written.at("reason").is_null());
  CHECK(written.at("model") == "small");
  CHECK(written.at("dtype") == "float32");
  CHECK(written.at("checks").size() == 5);
  const nlohmann::json& shift = written.at("checks").at(0);
  CHECK(shift.at("errors").get<std::vector<double>>() == found.checks[0].errors);
  CHECK(shift.at("floors").size() == 3);
  CHECK(shift.at("tolerance").size() == 3);
  CHECK(shift.at("holds") == true);
  const nlohmann::json& greedy = written.at("greedy").at(0);
  CHECK(greedy.at("token_ids").get<std::vector<std::int64_t>>() == found.greedy[0].token_ids);
  CHECK(greedy.at("text").is_null());
  found.greedy[0].text = "said";
  CHECK(nlohmann::json::parse(to_json(found)).at("greedy").at(0).at("text") == "said");
}

TEST_CASE("logits that are no numbers do not hold, and nothing is off by nothing", "[model][verify_moves]") {
  for (const float broken : {std::nanf(""), HUGE_VALF}) {
    causal_lm model = small_model();
    model.weights.norm.fill_(broken);  // which no key has read
    const moves_verdict found = verify_moves(causal_lm::of(model.config, model.weights), brief());
    CAPTURE(describe(found));
    CHECK(found.verdict == move_verdict::does_not_hold);
    CHECK(found.reason == "greedy text at length 6");
  }
  causal_lm silent = small_model();
  silent.weights.layers[1].input_layernorm.fill_(0);
  silent.weights.lm_head.fill_(0);
  const moves_verdict found = verify_moves(causal_lm::of(silent.config, silent.weights), brief());
  CAPTURE(describe(found));
  CHECK(found.verdict == move_verdict::holds);
  CHECK(found.checks.front().errors[1] == 0);
  CHECK(found.greedy.front().error == 0);
}
