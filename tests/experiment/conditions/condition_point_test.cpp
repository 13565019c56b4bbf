#include "kvtransfer/experiment/condition_point.hpp"

#include "experiment/conditions/condition_check.hpp"
#include "kvtransfer/experiment/condition_registry.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "kvtransfer/experiment/prompt_caches.hpp"
#include "kvtransfer/experiment/suite_prompts.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/plan_logits.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

const condition_registry& known_conditions() {
  static const condition_registry registry = condition_registry::standard();
  return registry;
}

std::string complaint_about_words(const std::string& list) {
  return message_of<value_error>([&] { known_conditions().parse(list); });
}

at::Tensor last_logits_of(const causal_lm& model, const plan& input) {
  const at::Tensor logits = plan_logits(model, input);
  return logits[0][logits.size(1) - 1];
}

/// What the model expects next under a condition, the first of two tests.
at::Tensor logits_under(const causal_lm& model, const std::string& condition, const generation_config& settings = {}) {
  suite_prompts suite{&model, {sample_prompts(), raw_prompts({sample_bos}, some_tokens(7, 40), sample_target())}};
  suite.tests[0].test = "first";
  suite.tests[1].test = "second";
  const any_condition bound = known_conditions().parse_one(condition).within(suite);
  INFO(condition);
  CHECK_FALSE(bound.not_applicable(suite.tests[0]).has_value());
  prompt_caches caches(model);
  const prepared_input read = bound.prepare(caches, suite.tests[0], settings);
  CHECK(read.input.positions.row(0, 0, 0).last_position().value() + 1 <=
        bound.tokens_needed(suite.tests[0], settings.max_new_tokens));
  return last_logits_of(model, read.input);
}

}  // namespace

TEST_CASE("the conditions that inject a cache are points whose text leads back to them",
          "[experiment][condition_point]") {
  std::int64_t points = 0;
  for (const any_condition& condition : known_conditions().parse("all")) {
    const auto point = condition.point();
    if (point != nullptr) {
      ++points;
      const std::string text = text_of(*point);
      CHECK((text.empty() || text_of(moved_point({}, text, known_conditions().policies())) == text));
    }
  }
  CHECK(points == 11);
  CHECK(text_of(*conditions::transfer().point()).empty());
  CHECK(text_of(*conditions::as_reported_transfer().point()) == "cache:generated_eos+second_bos");
  CHECK(text_of(*conditions::as_reported_same_cache().point()) == "prompt:target+cache:generated");
  CHECK(text_of(*conditions::noise().point()) == "control:noise");
}

TEST_CASE("a policy behind a plus sign narrows a condition to what tensor surgery leaves",
          "[experiment][condition_point]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {ids_of(sample_prompts().head)});
  plan upper = prepend(source.view(), {sample_target()});
  upper.layers[0].clear();
  CHECK(max_difference(logits_under(model, "transfer+layers:1-2"), last_logits_of(model, upper)) < 1e-5);
  plan lower = prepend(source.view(), {sample_target()});
  lower.layers[1].clear();
  lower.layers[2].clear();
  CHECK(max_difference(logits_under(model, "transfer+without-layers:1-2"), last_logits_of(model, lower)) < 1e-5);
  plan seen = prepend(source.view(), {sample_target()});
  for (auto& parts : seen.layers) {
    const at::Tensor visible = at::ones({1, 1, 8}, at::kBool);
    visible.slice(2, 2, 5).fill_(false);
    parts.front().visible = visible;
  }
  CHECK(max_difference(logits_under(model, "transfer+without-tokens:2-4"), last_logits_of(model, seen)) < 1e-5);
  CHECK(max_difference(logits_under(model, "transfer+span:source"), logits_under(model, "transfer+tokens:1-7")) < 1e-5);
}

TEST_CASE("the words of a point do what they say", "[experiment][condition_point]") {
  const causal_lm model = small_model();
  const cache source = prefill(model, {ids_of(sample_prompts().head)});
  const at::Tensor whole = last_logits_of(model, plan_of({ids_of(sample_prompts().whole())}));
  CHECK(max_difference(logits_under(model, "transfer"), whole) < 1e-5);
  CHECK(max_difference(logits_under(model, "transfer+rerotated"), whole) < 1e-4);
  CHECK(max_difference(
            logits_under(model, "transfer+second_bos"),
            last_logits_of(model, plan_of({joined(ids_of(sample_prompts().head), ids_of(sample_prompts().alone()))}))) <
        1e-4);
  const at::Tensor hidden = logits_under(model, "transfer+visible:hidden");
  CHECK(max_difference(hidden, last_logits_of(model, plan_of({sample_target()}))) < 1e-4);
  CHECK(max_difference(logits_under(model, "transfer+gap:16"),
                       last_logits_of(model, prepend(source.view(), {sample_target()}, place::gap{16}))) < 1e-5);
  const double rounding = max_difference(logits_under(model, "transfer+cache_precision:bfloat16"), whole);
  CHECK(rounding > 1e-4);
  CHECK(rounding < 0.5);
  const generation_config settings{.max_new_tokens = 6};
  generation_output said = generate(model, plan_of({ids_of(sample_prompts().head)}), settings);
  const cache left = std::move(said.running).release();
  CHECK(max_difference(logits_under(model, "transfer+cache:generated", settings),
                       last_logits_of(model, prepend(left.view(), {sample_target()}))) < 1e-5);
}

TEST_CASE("donors of policies are the target's and the other test's caches", "[experiment][condition_point]") {
  const causal_lm model = small_model();
  CHECK(max_difference(logits_under(model, "transfer+tokens:0:other"), logits_under(model, "other_source")) < 1e-5);
  CHECK(known_conditions()
            .parse_one("transfer+keys:target")
            .within({&model, {sample_prompts()}})
            .not_applicable(sample_prompts()) == "the donor target has 6 tokens and the cache 8");
}

TEST_CASE("conditions changed by words have ids that say so", "[experiment][condition_point]") {
  const auto ids = [](const std::string& list) {
    std::vector<std::string> all;
    for (const any_condition& condition : known_conditions().parse(list)) {
      all.push_back(condition.describe().id);
    }
    return all;
  };
  CHECK(ids("transfer+gap:16+layers:0,2,baseline") ==
        std::vector<std::string>{"baseline", "transfer+layers:0,2+gap:16"});
  CHECK(ids("noise+tokens:0-3") == std::vector<std::string>{"noise+tokens:0-3"});
  CHECK_FALSE(known_conditions().parse_one("transfer+keys").describe().must_equal_reference);
  CHECK(known_conditions().parse_one("transfer+control:shuffled_heads").describe().random);
  CHECK_FALSE(known_conditions().parse_one("transfer+control:zero").describe().random);
}

TEST_CASE("a wrong word is refused with its place and what would be right", "[experiment][condition_point]") {
  CHECK(complaint_about_words("transfer+cache:later") ==
        "conditions \"cache:later\": character 7: expected one of prompt, generated, generated_eos, got \"later\"");
  CHECK(complaint_about_words("transfer+keys+nonsense:3")
            .find("conditions \"keys+nonsense:3\": character 6: expected one of cache:, "
                  "control:, ") == 0);
  CHECK(complaint_about_words("transfer+").find("conditions \"\": character 1: expected one of ") == 0);
  CHECK(complaint_about_words("baseline+keys") ==
        "conditions: baseline+keys: expected a condition that injects a cache in front of the plus sign, got baseline");
  CHECK(complaint_about_words("transfer:3") == "conditions: transfer: expected no argument, got \"transfer:3\"");
  CHECK(complaint_about_words("from_files") == "conditions: from_files: expected from_files:DIR, got \"from_files\"");
  CHECK(complaint_about_words("transfer+visible:hidden+keys") ==
        "conditions: visible:hidden+keys: expected words that are an experiment together, got a crossing where nothing "
        "of "
        "the cache is seen, so it does not matter what it holds");
  CHECK(complaint_about_words("transfer+precision:bfloat16").find("cache_precision:") != std::string::npos);
  CHECK_FALSE(complaint_about_words("transfer+gap:16+restart").empty());
  CHECK_FALSE(complaint_about_words("transfer+assume_unknown_origin").empty());
}

TEST_CASE("crossings that mean nothing are told with their reason", "[experiment][condition_point]") {
  for (const char* words : {"rerotated+restart", "rerotated+unrotated", "control:zero+cache_precision:float16",
                            "prompt:target+control:other_source", "visible:hidden+control:noise"}) {
    INFO(words);
    CHECK_THROWS_AS(moved_point({}, words, known_conditions().policies()), meaningless_condition);
  }
}
