#include "kvtransfer/experiment/comparison.hpp"

#include <limits>

#include "experiment/sample_results.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("equal tokens compare equal, trial by trial", "[experiment][comparison]") {
  const results run = sample_results();
  const auto compared = compare_with_reference(run.tests[0], run.conditions[1]);
  REQUIRE(compared.has_value());
  CHECK(*compared == comparison{"text_oracle", 1, 1, std::nullopt});
  CHECK(compared->all_equal());
}

TEST_CASE("the first difference is given with the reference's margin there", "[experiment][comparison]") {
  results run = sample_results();
  run.tests[0].conditions[0].trials[0].top2_margins = {0.5, 0.01, 0.7, 0.9};
  run.tests[0].conditions[1].trials[0].token_ids[1] = 9;
  const auto compared = compare_with_reference(run.tests[0], run.conditions[1]);
  REQUIRE(compared.has_value());
  CHECK(compared->equal == 0);
  CHECK(compared->first == first_difference{0, {1, 9, 6}, 0.01});
}

TEST_CASE("the same tokens with another stop are a difference at their end", "[experiment][comparison]") {
  results run = sample_results();
  run.tests[0].conditions[1].trials[0].stop = stop_reason::length;
  const auto compared = compare_with_reference(run.tests[0], run.conditions[1]);
  REQUIRE(compared.has_value());
  CHECK(compared->first->at == divergence{3, std::nullopt, std::nullopt});
}

TEST_CASE("a margin that is unknown or no number is left out", "[experiment][comparison]") {
  results run = sample_results();
  run.tests[0].conditions[1].trials[0].token_ids[1] = 9;
  run.tests[0].conditions[0].trials[0].top2_margins[1] = std::numeric_limits<double>::quiet_NaN();
  CHECK(compare_with_reference(run.tests[0], run.conditions[1])->first->margin == std::nullopt);
  run.tests[0].conditions[0].trials[0].top2_margins.clear();
  CHECK(compare_with_reference(run.tests[0], run.conditions[1])->first->margin == std::nullopt);
}

TEST_CASE("there is nothing to compare without a reference, or where it did not run", "[experiment][comparison]") {
  results run = sample_results();
  CHECK_FALSE(compare_with_reference(run.tests[0], run.conditions[0]).has_value());
  run.tests[0].conditions[0].trials.clear();
  CHECK_FALSE(compare_with_reference(run.tests[0], run.conditions[1]).has_value());
  run.tests[0].conditions.erase(run.tests[0].conditions.begin());
  CHECK_FALSE(compare_with_reference(run.tests[0], run.conditions[1]).has_value());
}

TEST_CASE("markers and stalls are counted over trials", "[experiment][comparison]") {
  const test_case test = sample_results().tests[0].test;
  condition_record record{"x", std::nullopt, {}};
  record.trials = {sample_trial(test, "Lyra", {1, 2, 3}), sample_trial(test, "Lyra of Seattle", {1, 2, 3}),
                   sample_trial(test, "", {})};
  CHECK(marker_proportion(record, "Lyra") == statistics::proportion{2, 3});
  CHECK(marker_proportion(record, "Seattle") == statistics::proportion{1, 3});
  CHECK(stalled_proportion(record) == statistics::proportion{1, 3});
  CHECK(usual_markers(test, record) == std::vector<std::string>{"Lyra"});
}

TEST_CASE("greedy trials are no draws unless the condition itself is random", "[experiment][comparison]") {
  results run = sample_results();
  CHECK_FALSE(trials_are_draws(run.settings, run.conditions[0]));
  run.conditions[0].random = true;
  CHECK(trials_are_draws(run.settings, run.conditions[0]));
  run.settings.temperature = 0.5;
  CHECK(trials_are_draws(run.settings, run.conditions[1]));
}
