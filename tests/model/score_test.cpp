#include "kvtransfer/model/score.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/ones.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvtransfer/cache/expand_rows.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "model/slow_reference.hpp"
#include "model/transformer_fixture.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

using ids = std::vector<std::int64_t>;

/// Log-probabilities of a continuation, a token a pass, each pass spelt out in double.
std::vector<double> spelt_out(const causal_lm& model, const cache_view<>& source, const ids& target,
                              const ids& continuation) {
  std::vector<double> scores;
  ids read = target;
  for (const std::int64_t token : continuation) {
    const at::Tensor logits = reference_logits(model, prepend(source, {read}))[0];
    scores.push_back(at::log_softmax(logits, 0)[token].item<double>());
    read.push_back(token);
  }
  return scores;
}

void check_close(const at::Tensor& log_probs, const std::vector<double>& expected) {
  REQUIRE(log_probs.size(0) == static_cast<std::int64_t>(expected.size()));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(log_probs[static_cast<std::int64_t>(i)].item<double>() == Approx(expected[i]).margin(1e-4));
  }
}

nlohmann::json changed_config(nlohmann::json changes) {
  nlohmann::json config = small_config();
  config.update(changes);
  return config;
}

}  // namespace

TEST_CASE("scores, differences and divergences are those of transformers", "[model][score]") {
  const safetensors_file file = safetensors_file::open(model_fixtures() / "scores.safetensors");
  for (const char* folder : {"gqa-tied-fp32", "architectures/gemma2", "architectures/smollm3", "architectures/qwen3"}) {
    INFO(folder);
    const std::string name = std::filesystem::path(folder).filename();
    const transformer_fixture fixture = read_transformer_fixture(folder);
    const causal_lm model = causal_lm::open(fixture.folder, at::kCPU, at::kFloat);
    const auto of = [&](const char* key) { return file.tensor(name + "." + key); };
    const ids continuation = to_list(of("continuation"));
    const ids foil = to_list(of("foil"));
    const cache source = prefill(model, {to_list(fixture.source_ids)});
    const plan alone = plan_of({to_list(fixture.target_ids)});
    const plan injected = prepend(source.view(), alone.token_ids);
    CHECK(max_difference(score(model, injected, continuation).log_probs, of("log_probs")) < 2e-4);
    CHECK(max_difference(score(model, alone, continuation).log_probs, of("alone.log_probs")) < 2e-4);
    const auto both = score_each(model, injected, {continuation, foil});
    CHECK(max_difference(both[0].log_probs, of("log_probs")) < 2e-4);
    CHECK(max_difference(both[1].log_probs, of("foil.log_probs")) < 2e-4);
    CHECK(logit_difference(model, injected, continuation, foil).item<double>() ==
          Approx((of("log_probs").sum() - of("foil.log_probs").sum()).item<double>()).margin(1e-3));
    CHECK(max_difference(compare_next_tokens(model, injected, alone, continuation).divergence, of("divergence")) <
          1e-3);
  }
}

TEST_CASE("a score is the sum over one token after the other", "[model][score]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(9)});
  const ids target = some_tokens(4, 1);
  const ids continuation = some_tokens(5, 2);
  const continuation_score found = score(model, prepend(source.view(), {target}), continuation);
  const std::vector<double> expected = spelt_out(model, source.view(), target, continuation);
  check_close(found.log_probs, expected);
  double sum = 0;
  for (const double each : expected) {
    sum += each;
  }
  CHECK(found.total() == Approx(sum).margin(1e-4));
}

TEST_CASE("continuations of any lengths behind one plan score as each alone", "[model][score]") {
  const std::vector<ids> continuations{some_tokens(5, 2), some_tokens(1, 3), some_tokens(8, 4)};
  for (const nlohmann::json& changes :
       {nlohmann::json::object(), nlohmann::json{{"rope_scaling", {{"rope_type", "dynamic"}, {"factor", 2.0}}},
                                                 {"max_position_embeddings", 16}}}) {
    const causal_lm model = small_model(1, changed_config(changes));
    const cache source = prefill(model, {some_tokens(9)});
    plan hidden = prepend(source.view(), {some_tokens(4, 1)});
    const at::Tensor shown = at::ones({1, 2, 9}, at::kBool);
    shown[0][1].slice(0, 2, 6).fill_(false);
    hidden.layers[1].front().visible = shown;
    for (const plan& input : {prepend(source.view(), {some_tokens(4, 1)}), prepend(source.view(), {some_tokens(1, 1)}),
                              plan_of({some_tokens(6, 1)}), hidden}) {
      const auto together = score_each(model, input, continuations);
      REQUIRE(together.size() == continuations.size());
      for (std::size_t i = 0; i < continuations.size(); ++i) {
        CHECK(max_difference(together[i].log_probs, score(model, input, continuations[i]).log_probs) < 1e-4);
      }
    }
  }
}

TEST_CASE("each sequence of a plan has a continuation of its own", "[model][score]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(9), some_tokens(5, 7)});
  const std::vector<ids> targets{some_tokens(3, 1), some_tokens(6, 2)};
  const std::vector<ids> continuations{some_tokens(4, 3), some_tokens(2, 4)};
  const auto found = score_each(model, prepend(source.view(), targets), continuations);
  check_close(found[0].log_probs,
              spelt_out(model, prefill(model, {some_tokens(9)}).view(), targets[0], continuations[0]));
  check_close(found[1].log_probs,
              spelt_out(model, prefill(model, {some_tokens(5, 7)}).view(), targets[1], continuations[1]));
}

TEST_CASE("the difference of two single tokens is that of their logits", "[model][score]") {
  const causal_lm model = small_model();
  const plan input = plan_of({some_tokens(6)});
  const at::Tensor logits = plan_logits(model, input)[0][5];
  CHECK(logit_difference(model, input, {3}, {11}).item<double>() ==
        Approx((logits[3] - logits[11]).item<double>()).margin(1e-5));
}

TEST_CASE("a plan does not diverge from itself, and noise in its place does", "[model][score]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(9)});
  const plan input = prepend(source.view(), {some_tokens(4, 1)});
  const ids continuation = some_tokens(5, 2);
  const next_token_comparison same = compare_next_tokens(model, input, input, continuation);
  CHECK(same.divergence.abs().max().item<double>() == 0);
  CHECK(same.same_choice.all().item<bool>());
  const next_token_comparison other = compare_next_tokens(model, input, plan_of({some_tokens(4, 1)}), continuation);
  CHECK(other.divergence.min().item<double>() > 1e-3);
  const at::Tensor logits = next_token_logits(model, input, continuation);
  const at::Tensor sorted = std::get<0>(logits.sort(-1, true));
  CHECK(max_difference(other.top2_margin, sorted.select(1, 0) - sorted.select(1, 1)) == 0);
}

TEST_CASE("scores carry gradients to what is injected, through a shared reading too", "[model][score]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {some_tokens(5)});
  std::vector<at::Tensor> keys;
  std::vector<at::Tensor> values;
  for (std::int64_t layer = 0; layer < source.layers(); ++layer) {
    keys.push_back(source.view().layer(layer).keys().clone().set_requires_grad(true));
    values.push_back(source.view().layer(layer).values().clone().set_requires_grad(true));
  }
  const cache_view<> tracked(keys, values, source.view().frame(), as_written);
  const plan input = prepend(tracked, {some_tokens(3, 1)});
  const std::vector<ids> continuations{some_tokens(2, 2), some_tokens(3, 3)};
  const auto gradients = [&](const at::Tensor& loss) {
    loss.backward();
    std::vector<at::Tensor> found;
    for (std::vector<at::Tensor>* half : {&keys, &values}) {
      for (at::Tensor& each : *half) {
        found.push_back(each.grad().clone());
        each.mutable_grad().reset();
      }
    }
    return found;
  };
  const auto together = score_each(model, input, continuations);
  const auto at_once = gradients(together[0].log_probs.sum() + together[1].log_probs.sum());
  const auto apart = gradients(score(model, input, continuations[0]).log_probs.sum() +
                               score(model, input, continuations[1]).log_probs.sum());
  for (std::size_t i = 0; i < apart.size(); ++i) {
    CHECK(apart[i].abs().max().item<double>() > 0);
    CHECK(max_difference(at_once[i], apart[i]) < 1e-3 * apart[i].abs().max().item<double>());
  }
}

TEST_CASE("what cannot be scored is refused", "[model][score]") {
  const causal_lm model = small_model();
  const plan one = plan_of({some_tokens(3)});
  const plan two = plan_of({some_tokens(3), some_tokens(2)});
  CHECK_THROWS_AS(score(model, one, {}), value_error);
  CHECK_THROWS_AS(score(model, one, {97}), value_error);
  CHECK_THROWS_AS(score_each(model, one, {}), value_error);
  CHECK_THROWS_AS(score(model, two, {1}), shape_error);
  CHECK_THROWS_AS(score_each(model, two, {{1}, {2}, {3}}), shape_error);
  CHECK_THROWS_AS(score(model, one, std::vector<std::int64_t>(255, 1)), value_error);
}
