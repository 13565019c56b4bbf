#include <algorithm>

#include "experiment/conditions/condition_check.hpp"
#include "kvtransfer/experiment/condition_registry.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

const generation_config settings{.max_new_tokens = 9};

std::vector<std::int64_t> begin() { return some_tokens(2, 21); }
std::vector<std::int64_t> end() { return some_tokens(1, 22); }

}  // namespace

TEST_CASE("in chat form the conditions that must be equal are", "[experiment][conditions]") {
  const causal_lm model = small_model();
  for (const auto bos : {std::optional<std::int64_t>(sample_bos), std::optional<std::int64_t>()}) {
    const prompt_ids prompts = sample_chat(bos);
    const auto transferred = said_under(conditions::transfer(), model, prompts, settings);
    const auto alone = said_under(conditions::baseline(), model, prompts, settings);
    CHECK(transferred == said_under(conditions::text_oracle(), model, prompts, settings));
    CHECK(alone == said_under(conditions::same_cache(), model, prompts, settings));
    CHECK(transferred != alone);
  }
}

TEST_CASE("in chat form the format stands around source and target, and around the target alone",
          "[experiment][conditions]") {
  const causal_lm model = small_model();
  const prompt_ids prompts = sample_chat();
  CHECK(said_under(conditions::baseline(), model, prompts, settings) ==
        said_after(model, text_of({begin(), sample_target(), end()}), settings));
  CHECK(said_under(conditions::transfer(), model, prompts, settings) ==
        said_after(model, text_of({begin(), sample_source(), sample_target(), end()}), settings));
}

TEST_CASE("in chat form a harness that reads the target again reads its format again", "[experiment][conditions]") {
  const causal_lm model = small_model();
  const prompt_ids prompts = sample_chat();
  std::vector<std::int64_t> answer = said_under(conditions::baseline(), model, prompts, settings);
  answer.pop_back();  // the last token of a generation that ends by length is never fed
  const auto once = joined(joined(begin(), sample_target()), end());
  CHECK(said_under(conditions::as_reported_same_cache(), model, prompts, settings) ==
        said_after(model, text_of({once, answer, once}), settings));
  answer = said_after(model, text_of({begin(), sample_source()}), settings);
  answer.pop_back();
  CHECK(said_under(conditions::as_reported_transfer(), model, prompts, settings) ==
        said_after(model, text_of({begin(), sample_source(), answer, {sample_bos}, once}), settings));
}

TEST_CASE("in chat form every condition counts what it reads", "[experiment][conditions]") {
  for (const any_condition& condition : condition_registry::standard().parse("matrix")) {
    const prepared_input read = prepared(condition, small_model(), sample_chat(), settings);
    CAPTURE(condition.describe().id);
    CHECK(parts_fit_plan(read));
    CHECK(length_of(read.parts) <= condition.tokens_needed(sample_chat(), settings.max_new_tokens));
    CHECK(std::ranges::any_of(read.parts, [](const auto& part) { return part.role == token_role::format; }));
  }
}

TEST_CASE("without a BOS a chat has no second one", "[experiment][conditions]") {
  CHECK(conditions::as_reported_transfer().not_applicable(sample_chat(std::nullopt)).has_value());
  CHECK_FALSE(conditions::as_reported_transfer().not_applicable(sample_chat()).has_value());
  CHECK_FALSE(conditions::as_reported_same_cache().not_applicable(sample_chat(std::nullopt)).has_value());
}
