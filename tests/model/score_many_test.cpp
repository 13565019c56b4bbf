#include "model/score_many.hpp"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/score.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// Texts, texts behind sources of other lengths, and layers of which one sees less than the others.
std::vector<scored_plan> mixed_plans(const std::vector<cache>& sources, bool cuts_layers) {
  std::vector<scored_plan> plans;
  for (std::int64_t i = 0; i < 9; ++i) {
    const std::vector<std::int64_t> text = some_tokens(1 + i % 4, 3 * i);
    const cache& source = sources[static_cast<std::size_t>(i) % sources.size()];
    plan input = i % 3 == 0 ? plan_of({text}) : prepend(source.view(), {text});
    if (cuts_layers && i % 3 == 2) {
      input.layers[0] = {segment(source.view().slice(0, 2), 0)};
    }
    plans.push_back({std::move(input), some_tokens(1 + i % 5, 7 * i)});
  }
  return plans;
}

std::vector<at::Tensor> scored(const causal_lm& model, const std::vector<scored_plan>& plans) {
  std::vector<at::Tensor> logits(plans.size());
  score_many(model, plans, [&](std::size_t i, const at::Tensor& found) {
    CHECK_FALSE(logits[i].defined());
    logits[i] = found.clone();
  });
  return logits;
}

/// Scores of plans read together are those that each has alone.
void check_scored_as_alone(const causal_lm& model, const std::vector<scored_plan>& plans) {
  const std::vector<at::Tensor> together = scored(model, plans);
  for (std::size_t i = 0; i < plans.size(); ++i) {
    CAPTURE(i);
    const at::Tensor alone = next_token_logits(model, plans[i].input, plans[i].continuation);
    REQUIRE(together[i].sizes() == alone.sizes());
    CHECK(max_difference(together[i], alone) < 1e-5);
  }
}

}  // namespace

TEST_CASE("continuations scored together have the logits that each has alone", "[model][score_many]") {
  nlohmann::json window = small_config();
  window.update({{"architectures", {"MistralForCausalLM"}}, {"model_type", "mistral"}, {"sliding_window", 6}});
  nlohmann::json dynamic = small_config();
  dynamic.update({{"max_position_embeddings", 12}, {"rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2.0}}}});
  for (const nlohmann::json& config : {small_config(), window, dynamic}) {
    CAPTURE(config["model_type"], config.contains("rope_scaling"));
    const causal_lm model = small_model(1, config);
    std::vector<cache> sources;
    for (const std::int64_t length : {9, 4, 6}) {
      sources.push_back(prefill(model, {some_tokens(length, length)}));
    }
    const std::vector<scored_plan> plans = mixed_plans(sources, config["model_type"] != "mistral");
    check_scored_as_alone(model, plans);
  }
}

TEST_CASE("logits of a vocabulary too large to hold them for a whole pass come piece by piece", "[model][score_many]") {
  nlohmann::json config = small_config();
  config["vocab_size"] = 1 << 18;  // 16 tokens a piece
  const causal_lm model = small_model(1, config);
  std::vector<scored_plan> plans;
  for (std::int64_t i = 0; i < 9; ++i) {
    plans.push_back({plan_of({some_tokens(2 + i, i)}), some_tokens(i == 4 ? 40 : 3 + i, 7 * i)});
  }
  check_scored_as_alone(model, plans);
}

TEST_CASE("a text too long to be read with others is scored by itself", "[model][score_many]") {
  nlohmann::json config = small_config();
  config["max_position_embeddings"] = 1024;
  const causal_lm model = small_model(1, config);
  const std::vector<scored_plan> plans{{plan_of({some_tokens(300)}), {5, 6}}, {plan_of({some_tokens(4)}), {5, 6, 7}}};
  const std::vector<at::Tensor> together = scored(model, plans);
  for (std::size_t i = 0; i < plans.size(); ++i) {
    CHECK(max_difference(together[i], next_token_logits(model, plans[i].input, plans[i].continuation)) < 1e-5);
  }
}

TEST_CASE("a continuation without tokens, or with unknown ones, is not scored", "[model][score_many]") {
  const causal_lm model = small_model();
  CHECK_THROWS_AS(scored(model, {{plan_of({{1, 2}}), {}}}), value_error);
  CHECK_THROWS_AS(scored(model, {{plan_of({{1, 2}}), {3, 100000}}}), value_error);
}
