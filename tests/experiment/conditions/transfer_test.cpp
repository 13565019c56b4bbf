#include "experiment/conditions/condition_check.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "kvtransfer/inject/position_policies.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("a transfer gives the text oracle's tokens", "[experiment][conditions]") {
  const causal_lm model = small_model();
  for (const auto bos : {std::optional<std::int64_t>(sample_bos), std::optional<std::int64_t>()}) {
    const generation_config settings{.max_new_tokens = 20};
    const auto transferred = said_under(conditions::transfer(), model, sample_prompts(bos), settings);
    CHECK(transferred == said_under(conditions::text_oracle(), model, sample_prompts(bos), settings));
    CHECK(transferred != said_under(conditions::baseline(), model, sample_prompts(bos), settings));
  }
}

TEST_CASE("a transfer's target stands at the positions after the source", "[experiment][conditions]") {
  const any_condition condition = conditions::transfer();
  const prepared_input read = prepared(condition, small_model(), sample_prompts());
  CHECK(read.input.token_ids.front() == sample_target());
  CHECK(read.input.injected(0) == 8);
  CHECK(read.input.positions.row(0, 0, 0).positions() == std::vector<std::int64_t>{8, 9, 10, 11, 12});
  CHECK(parts_fit_plan(read));
  CHECK(condition.tokens_needed(sample_prompts(), 40) == length_of(read.parts));
}

TEST_CASE("the model of these tests tells a position from the next", "[experiment][conditions]") {
  const causal_lm model = small_model();
  const generation_config settings{.max_new_tokens = 20};
  const cache source = prefill(model, {text_of({sample_source()})});
  const plan displaced = prepend(source.view(), {sample_target()}, place::gap{1});
  CHECK(generate(model, displaced, settings).sequences.front().token_ids !=
        said_under(conditions::transfer(), model, sample_prompts(), settings));
}
