#include "experiment/conditions/condition_check.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("the target's own cache gives the baseline's tokens", "[experiment][conditions]") {
  const causal_lm model = small_model();
  for (const generation_config& settings :
       {generation_config{.max_new_tokens = 20},
        generation_config{.max_new_tokens = 20, .temperature = 1.3, .seeds = {5}}}) {
    CHECK(said_under(conditions::same_cache(), model, sample_prompts(), settings) ==
          said_under(conditions::baseline(), model, sample_prompts(), settings));
  }
}

TEST_CASE("all of the target but its last token is injected", "[experiment][conditions]") {
  const any_condition condition = conditions::same_cache();
  const prepared_input read = prepared(condition, small_model(), sample_prompts());
  CHECK(read.input.injected(0) == 5);
  CHECK(read.input.token_ids.front() == std::vector<std::int64_t>{sample_target().back()});
  CHECK_FALSE(read.input.assumed());
  CHECK(parts_fit_plan(read));
  CHECK(condition.tokens_needed(sample_prompts(), 40) == length_of(read.parts));
}

TEST_CASE("a target of one token has no cache to inject unless BOS is in it", "[experiment][conditions]") {
  const auto prompts = [](std::vector<std::int64_t> before) { return raw_prompts(std::move(before), {3, 4}, {5}); };
  CHECK_FALSE(conditions::same_cache().not_applicable(prompts({sample_bos})).has_value());
  CHECK(parts_fit_plan(prepared(conditions::same_cache(), small_model(), prompts({sample_bos}))));
  CHECK(conditions::same_cache().not_applicable(prompts({})).has_value());
}
