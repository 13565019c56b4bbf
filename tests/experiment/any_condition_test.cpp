#include "kvtransfer/experiment/any_condition.hpp"

#include "experiment/conditions/condition_check.hpp"
#include "kvtransfer/experiment/conditions.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("a condition chosen at run time does what the one inside does", "[experiment][any_condition]") {
  const target_twice inside;
  const any_condition chosen = inside;
  const any_condition copy = chosen;
  CHECK(copy.describe() == inside.describe());
  CHECK(copy.not_applicable(sample_prompts(std::nullopt)) == inside.not_applicable(sample_prompts(std::nullopt)));
  CHECK(copy.tokens_needed(sample_prompts(), 9) == inside.tokens_needed(sample_prompts(), 9));
  const causal_lm model = small_model();
  const generation_config settings{.max_new_tokens = 9};
  CHECK(said_under(copy, model, sample_prompts(), settings) == said_under(inside, model, sample_prompts(), settings));
}

TEST_CASE("what a condition depends on is asked where it says so, and is nothing where it does not",
          "[experiment][any_condition]") {
  struct reads_a_file : target_twice {
    [[nodiscard]] std::string depends_on(const prompt_ids& prompts) const { return "file of " + prompts.test; }
  };
  prompt_ids prompts = sample_prompts();
  prompts.test = "one";
  CHECK(any_condition(reads_a_file{}).depends_on(prompts) == "file of one");
  CHECK(any_condition(target_twice{}).depends_on(prompts).empty());
  CHECK(conditions::transfer().depends_on(prompts).empty());
}

TEST_CASE("a condition chosen at run time can be replaced", "[experiment][any_condition]") {
  any_condition chosen = target_twice{};
  chosen = conditions::transfer();
  CHECK(chosen.describe().id == "transfer");
}
