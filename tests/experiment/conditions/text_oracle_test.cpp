#include "experiment/conditions/condition_check.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("the text oracle feeds BOS, source and target in one pass", "[experiment][conditions]") {
  const any_condition condition = conditions::text_oracle();
  const prepared_input read = prepared(condition, small_model(), sample_prompts());
  CHECK(read.input.token_ids.front() == text_of({sample_source(), sample_target()}));
  CHECK(read.input.layers.empty());
  CHECK(parts_fit_plan(read));
  CHECK(condition.tokens_needed(sample_prompts(), 40) == length_of(read.parts));
}
