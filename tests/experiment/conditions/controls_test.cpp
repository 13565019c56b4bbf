#include <ATen/ops/equal.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "experiment/conditions/condition_check.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "kvtransfer/experiment/prompt_caches.hpp"
#include "kvtransfer/experiment/suite_prompts.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Two tests, the first of them `sample_prompts()`, the sources of equal length.
suite_prompts two_tests(const causal_lm& model) {
  suite_prompts suite{&model, {sample_prompts(), raw_prompts({sample_bos}, some_tokens(7, 40), sample_target())}};
  suite.tests[0].test = "first";
  suite.tests[1].test = "second";
  return suite;
}

prepared_input prepared_control(const causal_lm& model, const any_condition& condition, std::uint64_t seed = 3) {
  const suite_prompts suite = two_tests(model);
  prompt_caches caches(model);
  const any_condition bound = condition.within(suite);
  CHECK_FALSE(bound.not_applicable(suite.tests[0]).has_value());
  const prepared_input read = bound.prepare(caches, suite.tests[0], {.seeds = {seed}});
  CHECK(parts_fit_plan(read));
  CHECK(bound.tokens_needed(suite.tests[0], 40) == length_of(read.parts));
  return read;
}

std::vector<std::string> edits_told(const prepared_input& read) {
  std::vector<std::string> edits;
  for (const cache_edit& edit : read.input.edits()) {
    edits.push_back(describe(edit));
  }
  return edits;
}

at::Tensor answer_of(const causal_lm& model, const plan& input) {
  const at::Tensor logits = plan_logits(model, input);
  return logits[0][logits.size(1) - 1];
}

at::Tensor oracle_answer(const causal_lm& model) {
  return answer_of(model, plan_of({ids_of(sample_prompts().whole())}));
}

}  // namespace

TEST_CASE("controls put what they say in the source's place, and the frame says so", "[experiment][conditions]") {
  const causal_lm model = small_model();
  const std::vector<std::pair<any_condition, std::vector<std::string>>> controls{
      {conditions::noise_sink_kept(), {"noise in keys and values, layers 0-2, slots 1-7, from seed 3"}},
      {conditions::zero(), {"other in keys and values, layers 0-2, slots 0-7, from zeros"}},
      {conditions::shuffled_layers(),
       {"mixture in keys and values, layers 0-2, slots 0-7, from its other layers, seed 3"}},
      {conditions::shuffled_heads(),
       {"mixture in keys and values, layers 0-2, slots 0-7, from its other heads, seed 3"}},
      {conditions::other_source(), {}},
      {conditions::shuffled_tokens(), {}},
  };
  for (const auto& [condition, edits] : controls) {
    INFO(condition.describe().id);
    const prepared_input read = prepared_control(model, condition);
    CHECK(read.input.injected(0) == 8);
    CHECK(read.input.token_ids.front() == sample_target());
    CHECK(read.input.positions.row(0, 0, 0).positions().front() == 8);
    CHECK(edits_told(read) == edits);
    CHECK_FALSE(read.input.assumed());
    CHECK(max_difference(answer_of(model, read.input), oracle_answer(model)) > 1e-2);
  }
}

TEST_CASE("another test's source is that test's own cache", "[experiment][conditions]") {
  const causal_lm model = small_model();
  const suite_prompts suite = two_tests(model);
  const prepared_input read = prepared_control(model, conditions::other_source());
  CHECK(max_difference(answer_of(model, read.input),
                       answer_of(model, plan_of({joined(ids_of(suite.tests[1].head), sample_target())}))) < 1e-4);
  CHECK(read.input.segments(0).front().origin().token_ids().front() == ids_of(suite.tests[1].head));
}

TEST_CASE("shuffled tokens are the source's, in another order, behind BOS", "[experiment][conditions]") {
  const prepared_input read = prepared_control(small_model(), conditions::shuffled_tokens());
  std::vector<std::int64_t> ids = read.input.segments(0).front().origin().token_ids().front();
  std::vector<std::int64_t> own = ids_of(sample_prompts().head);
  CHECK(ids != own);
  CHECK(ids.front() == sample_bos);
  std::ranges::sort(ids);
  std::ranges::sort(own);
  CHECK(ids == own);
  const auto seeded = [](std::uint64_t seed) {
    return prepared_control(small_model(), conditions::shuffled_tokens(), seed)
        .input.segments(0)
        .front()
        .origin()
        .token_ids();
  };
  CHECK(seeded(5) == seeded(5));
  CHECK(seeded(5) != seeded(6));
}

TEST_CASE("shuffled slots and two chunks say what the text oracle says", "[experiment][conditions]") {
  const causal_lm model = small_model();
  for (const any_condition& condition : {conditions::shuffled_slots(), conditions::oracle_split()}) {
    const prepared_input read = prepared_control(model, condition);
    CHECK(edits_told(read).empty());
    CHECK(condition.describe().must_equal_reference);
    CHECK(max_difference(answer_of(model, read.input), oracle_answer(model)) < 1e-4);
  }
  const prepared_input slots = prepared_control(model, conditions::shuffled_slots());
  CHECK(slots.input.segments(0).front().origin().token_ids().front() != ids_of(sample_prompts().head));
  CHECK(prepared_control(model, conditions::oracle_split()).input.injected(0) ==
        6);  // of 13 tokens; a transfer cuts at 8
}

TEST_CASE("what a model or a suite does not allow is not applicable, and why", "[experiment][conditions]") {
  nlohmann::json config = small_config();
  config["num_key_value_heads"] = 1;
  const causal_lm single = small_model(1, config);
  CHECK(conditions::shuffled_heads().within({&single, {sample_prompts()}}).not_applicable(sample_prompts()) ==
        "this model has one KV head");
  const causal_lm model = small_model();
  CHECK(conditions::other_source().within({&model, {sample_prompts()}}).not_applicable(sample_prompts()) ==
        "no other test of the suite has another source");
  const prompt_ids same = raw_prompts({sample_bos}, {4, 4, 4}, {5});
  CHECK(conditions::shuffled_tokens().within({&model, {same}}).not_applicable(same) ==
        "the source has no two tokens that differ");
  config = small_config();
  config["architectures"] = {"MistralForCausalLM"};
  config["model_type"] = "mistral";
  config["sliding_window"] = 8;
  const causal_lm windowed = small_model(1, config);
  CHECK(conditions::shuffled_slots().within({&windowed, {sample_prompts()}}).not_applicable(sample_prompts()) ==
        "this model's windows count slots, so that their order matters");
}
