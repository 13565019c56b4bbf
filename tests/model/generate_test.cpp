#include "kvtransfer/model/generate.hpp"

#include <limits>
#include <nlohmann/json.hpp>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "support/small_model.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("generation ends at its length and leaves the last token unfed", "[model][generate]") {
  const causal_lm model = small_model();
  const generation_output made = generate(model, plan_of({some_tokens(5)}), {.max_new_tokens = 6});
  CHECK(made.sequences[0].token_ids.size() == 6);
  CHECK(made.sequences[0].top2_margins.size() == 6);
  CHECK(made.sequences[0].stop == stop_reason::length);
  CHECK(made.running.length() == 5 + 5);
}

TEST_CASE("generation ends at an end-of-text token, which is neither returned nor read", "[model][generate]") {
  const causal_lm model = small_model();
  const auto free = generate(model, plan_of({some_tokens(5)}), {.max_new_tokens = 6}).sequences[0].token_ids;
  const std::int64_t eos = free[3];
  const auto end = std::find(free.begin(), free.end(), eos);
  const generation_output made =
      generate(model, plan_of({some_tokens(5)}), {.max_new_tokens = 6, .eos_token_ids = {96, eos}});
  CHECK(made.sequences[0].token_ids == std::vector<std::int64_t>(free.begin(), end));
  CHECK(made.sequences[0].stop == stop_reason::eos);
  CHECK(made.sequences[0].eos_token_id == eos);
  CHECK(made.running.length() == 5 + (end - free.begin()));
}

TEST_CASE("rows that end early leave the others as they are", "[model][generate]") {
  const causal_lm model = small_model();
  const std::vector<std::vector<std::int64_t>> texts = {some_tokens(5), some_tokens(9, 2)};
  const auto first = generate(model, plan_of({texts[0]}), {.max_new_tokens = 10}).sequences[0].token_ids;
  const generation_config settings{.max_new_tokens = 10, .eos_token_ids = {first[1]}};
  const auto together = generate(model, plan_of(texts), settings);
  for (std::size_t row = 0; row < texts.size(); ++row) {
    const generation_output alone = generate(model, plan_of({texts[row]}), settings);
    CHECK(together.sequences[row].token_ids == alone.sequences[0].token_ids);
    CHECK(together.sequences[row].stop == alone.sequences[0].stop);
  }
}

TEST_CASE("sampling draws the same tokens in a batch as alone", "[model][generate]") {
  const causal_lm model = small_model();
  const std::vector<std::vector<std::int64_t>> texts = {some_tokens(5), some_tokens(5), some_tokens(8, 2)};
  const auto together =
      generate(model, plan_of(texts), {.max_new_tokens = 8, .temperature = 1.5, .seeds = {11, 12, 13}}).sequences;
  CHECK(together[0].token_ids != together[1].token_ids);
  for (std::size_t row = 0; row < texts.size(); ++row) {
    const generation_config settings{.max_new_tokens = 8, .temperature = 1.5, .seeds = {11 + row}};
    CHECK(together[row].token_ids == generate(model, plan_of({texts[row]}), settings).sequences[0].token_ids);
  }
}

TEST_CASE("generation stops at the last position that the model knows", "[model][generate]") {
  nlohmann::json config = small_config();
  config["max_position_embeddings"] = 8;
  const causal_lm model = small_model(1, config);
  const generation_output made = generate(model, plan_of({some_tokens(5)}), {.max_new_tokens = 20});
  CHECK(made.sequences[0].token_ids.size() == 4);  // three are read at positions 5 to 7, the fourth is only chosen
  CHECK(made.running.length() == 8);
  CHECK(made.sequences[0].stop == stop_reason::positions);
  const generation_output all = generate(model, plan_of({some_tokens(5)}), {.max_new_tokens = 4});
  CHECK(all.sequences[0].token_ids == made.sequences[0].token_ids);
  CHECK(all.sequences[0].stop == stop_reason::length);
}

TEST_CASE("a sequence that runs out of positions leaves the others as they are", "[model][generate]") {
  nlohmann::json config = small_config();
  config["max_position_embeddings"] = 8;
  const causal_lm model = small_model(1, config);
  const generation_output made = generate(model, plan_of({some_tokens(5), some_tokens(2, 3)}), {.max_new_tokens = 6});
  CHECK(made.sequences[0].stop == stop_reason::positions);
  CHECK(made.sequences[0].token_ids.size() == 4);
  CHECK(made.sequences[1].stop == stop_reason::length);
  CHECK(made.sequences[1].token_ids ==
        generate(model, plan_of({some_tokens(2, 3)}), {.max_new_tokens = 6}).sequences[0].token_ids);
}

TEST_CASE("nothing is generated where nothing is asked for", "[model][generate]") {
  const causal_lm model = small_model();
  const generation_output made = generate(model, plan_of({some_tokens(5)}), {.max_new_tokens = 0});
  CHECK(made.sequences[0].token_ids.empty());
  CHECK(made.running.length() == 5);
}

TEST_CASE("settings out of range are refused by name", "[model][generate]") {
  const causal_lm model = small_model();
  const plan input = plan_of({{1, 2}});
  CHECK_THROWS_AS(generate(model, input, {.max_new_tokens = -1}), value_error);
  CHECK_THROWS_AS(generate(model, input, {.temperature = -0.5}), value_error);
  CHECK_THROWS_AS(generate(model, input, {.temperature = std::numeric_limits<double>::quiet_NaN()}), value_error);
  CHECK_THROWS_AS(generate(model, input, {.seeds = {1, 2, 3}}), shape_error);
}
