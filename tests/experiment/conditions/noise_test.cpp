#include <ATen/ops/equal.h>

#include "experiment/conditions/condition_check.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

at::Tensor injected_keys(std::uint64_t seed) {
  const prepared_input read = prepared(conditions::noise(), small_model(), sample_prompts(), {.seeds = {seed}});
  return read.input.segments(1).front().kv().keys();
}

}  // namespace

TEST_CASE("noise has the source cache's shape and place, and is an edit", "[experiment][conditions]") {
  const any_condition condition = conditions::noise();
  const prepared_input read = prepared(condition, small_model(), sample_prompts());
  CHECK(read.input.injected(0) == 8);
  CHECK(read.input.token_ids.front() == sample_target());
  CHECK(read.input.positions.row(0, 0, 0).positions().front() == 8);
  CHECK_FALSE(read.input.assumed());
  REQUIRE(read.input.edits().size() == 1);
  CHECK(read.input.edits().front().kind == edit_kind::noise);
  CHECK(parts_fit_plan(read));
  CHECK(condition.tokens_needed(sample_prompts(), 40) == length_of(read.parts));
}

TEST_CASE("noise is drawn from the trial's seed", "[experiment][conditions]") {
  CHECK(at::equal(injected_keys(4), injected_keys(4)));
  CHECK_FALSE(at::equal(injected_keys(4), injected_keys(5)));
}

TEST_CASE("the model runs on noise", "[experiment][conditions]") {
  const generation_config settings{.max_new_tokens = 8};
  CHECK(said_under(conditions::noise(), small_model(), sample_prompts(), settings).size() == 8);
}
