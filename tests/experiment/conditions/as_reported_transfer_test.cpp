#include "experiment/conditions/condition_check.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("source, answer, EOS and a second BOS stand in front of the target", "[experiment][conditions]") {
  const causal_lm model = small_model();
  const prompt_ids prompts = sample_prompts();
  const auto free = said_after(model, text_of({sample_source()}), {.max_new_tokens = 9});
  const std::int64_t eos = free[4];
  const generation_config settings{.max_new_tokens = 9, .eos_token_ids = {eos}};
  const auto answer = said_after(model, text_of({sample_source()}), settings);
  REQUIRE(answer.size() < 9);
  CHECK(said_under(conditions::as_reported_transfer(), model, prompts, settings) ==
        said_after(model, text_of({sample_source(), answer, {eos, sample_bos}, sample_target()}), settings));
}

TEST_CASE("a generation that ends by length leaves no EOS to feed", "[experiment][conditions]") {
  const causal_lm model = small_model();
  const prompt_ids prompts = sample_prompts();
  const generation_config settings{.max_new_tokens = 9};
  std::vector<std::int64_t> answer = said_after(model, text_of({sample_source()}), settings);
  answer.pop_back();
  CHECK(said_under(conditions::as_reported_transfer(), model, prompts, settings) ==
        said_after(model, text_of({sample_source(), answer, {sample_bos}, sample_target()}), settings));
}

TEST_CASE("as_reported_transfer counts what it reads", "[experiment][conditions]") {
  const any_condition condition = conditions::as_reported_transfer();
  const causal_lm model = small_model();
  const auto free = said_after(model, text_of({sample_source()}), {.max_new_tokens = 9});
  for (const generation_config& settings :
       {generation_config{.max_new_tokens = 9}, generation_config{.max_new_tokens = 9, .eos_token_ids = {free[4]}}}) {
    const prepared_input read = prepared(condition, model, sample_prompts(), settings);
    CHECK(parts_fit_plan(read));
    CHECK(length_of(read.parts) <= condition.tokens_needed(sample_prompts(), 9));
  }
}

TEST_CASE("without a BOS token there is no second one", "[experiment][conditions]") {
  CHECK(conditions::as_reported_transfer().not_applicable(sample_prompts(std::nullopt)).has_value());
  CHECK_FALSE(conditions::as_reported_transfer().not_applicable(sample_prompts()).has_value());
}
