#include "experiment/conditions/condition_check.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("the target is read again behind what was generated from it", "[experiment][conditions]") {
  const causal_lm model = small_model();
  const auto target = sample_target();
  const generation_config settings{.max_new_tokens = 9};
  std::vector<std::int64_t> answer = said_after(model, text_of({target}), settings);
  REQUIRE(answer.size() == 9);
  answer.pop_back();  // the last token of a generation that ends by length is never fed
  CHECK(said_under(conditions::as_reported_same_cache(), model, sample_prompts(), settings) ==
        said_after(model, text_of({target, answer, target}), settings));
}

TEST_CASE("where generation ends at EOS, EOS is not in the cache", "[experiment][conditions]") {
  const causal_lm model = small_model();
  const auto target = sample_target();
  const auto free = said_after(model, text_of({target}), {.max_new_tokens = 9});
  const generation_config settings{.max_new_tokens = 9, .eos_token_ids = {free[4]}};
  const auto answer = said_after(model, text_of({target}), settings);
  REQUIRE(answer.size() < 9);
  CHECK(said_under(conditions::as_reported_same_cache(), model, sample_prompts(), settings) ==
        said_after(model, text_of({target, answer, target}), settings));
}

TEST_CASE("as_reported_same_cache counts what it reads", "[experiment][conditions]") {
  const any_condition condition = conditions::as_reported_same_cache();
  const prepared_input read = prepared(condition, small_model(), sample_prompts(), {.max_new_tokens = 9});
  CHECK(parts_fit_plan(read));
  CHECK(length_of(read.parts) <= condition.tokens_needed(sample_prompts(), 9));
  CHECK(read.parts[2] == sequence_part{token_role::generated, 8, true});
}
