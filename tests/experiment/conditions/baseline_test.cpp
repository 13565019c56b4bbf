#include "experiment/conditions/condition_check.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("the baseline feeds BOS and the target and injects nothing", "[experiment][conditions]") {
  const any_condition condition = conditions::baseline();
  const prepared_input read = prepared(condition, small_model(), sample_prompts());
  CHECK(read.input.token_ids.front() == text_of({sample_target()}));
  CHECK(read.input.layers.empty());
  CHECK(parts_fit_plan(read));
  CHECK(condition.tokens_needed(sample_prompts(), 40) == length_of(read.parts));
}

TEST_CASE("the baseline of a model without BOS is the target alone", "[experiment][conditions]") {
  const prompt_ids prompts = sample_prompts(std::nullopt);
  const prepared_input read = prepared(conditions::baseline(), small_model(), prompts);
  CHECK(read.input.token_ids.front() == sample_target());
  CHECK(parts_fit_plan(read));
}
