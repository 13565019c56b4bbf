#include "experiment/report/verdicts.hpp"

#include "experiment/sample_results.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("equality is judged over all tests", "[experiment][report]") {
  results run = sample_results();
  run.tests.push_back(run.tests[0]);
  run.tests[1].test.name = "again";
  run.tests[1].conditions[1].trials[0].token_ids[1] = 9;
  const auto verdicts = equality_verdicts(run);
  REQUIRE(verdicts.size() == 2);
  CHECK(verdicts[0].condition.id == "transfer");
  CHECK(verdicts[0].equal == 1);
  CHECK_FALSE(verdicts[0].holds());
  CHECK(sentence(verdicts[0]) ==
        "transfer = text_oracle, token for token, in 1 of 2 tests; first difference: again at trial 1, step 1 (token 9 "
        "where the "
        "reference has 6; top-2 margin there 0.5).");
}

TEST_CASE("an end is described as one", "[experiment][report]") {
  CHECK(difference_text(first_difference{1, {3, std::nullopt, 7}, std::nullopt}) ==
        "trial 2, step 3 (token the end where the reference has 7)");
}

TEST_CASE("columns are judged by the harness that reconstructs them and by their namesake", "[experiment][report]") {
  const results run = sample_results();
  const auto verdicts = column_verdicts(run);
  REQUIRE(verdicts.size() == 1);
  CHECK(verdicts[0].column == "transfer");
  CHECK(verdicts[0].cells == 1);
  CHECK(verdicts[0].by_reconstruction == 1);
  CHECK(verdicts[0].by_proper == 0);
}

TEST_CASE("a reconstruction that this model can't run is said to be not applicable", "[experiment][report]") {
  results run = sample_results();
  CHECK(column_verdicts(run)[0].reconstructed);
  run.tests[0].conditions[2] = {"as_reported_transfer", "no BOS", {}};
  CHECK(sentence(column_verdicts(run)[0]) ==
        "The published column transfer is given by transfer in 0 of 1 cells; as_reported_transfer is not applicable.");
}

TEST_CASE("an error in a published column is not counted as a cell", "[experiment][report]") {
  results run = sample_results();
  run.tests[0].test.reported["transfer"].error = true;
  CHECK(column_verdicts(run)[0].cells == 0);
}

TEST_CASE("a marker came through the cache if neither baseline nor noise has it", "[experiment][report]") {
  results run = sample_results();
  CHECK(carried_sentence(run).empty());
  test_record& test = run.tests[0];
  test.conditions.push_back({"baseline", std::nullopt, {sample_trial(test.test, "Nobody.", {1})}});
  test.conditions.push_back({"noise", std::nullopt, {sample_trial(test.test, "In Seattle.", {1})}});
  REQUIRE(carried_markers(test).size() == 1);
  CHECK(carried_markers(test)[0].marker == "Lyra");
  CHECK(carried_sentence(run) == "Found under transfer, and under neither baseline nor noise: Lyra (names).");
  test.conditions.back().trials[0].markers_found = {"Lyra", "Seattle"};
  CHECK(carried_sentence(run) == "Found under transfer, and under neither baseline nor noise: nothing.");
}

TEST_CASE("a marker that some trials of a control show is given with counts", "[experiment][report]") {
  results run = sample_results();
  test_record& test = run.tests[0];
  const auto trials = [&](std::int64_t with_lyra, std::int64_t without) {
    std::vector<trial_record> all(static_cast<std::size_t>(with_lyra), sample_trial(test.test, "I am Lyra.", {1}));
    all.resize(static_cast<std::size_t>(with_lyra + without), sample_trial(test.test, "Nobody.", {1}));
    return all;
  };
  test.conditions = {{"transfer", std::nullopt, trials(18, 2)},
                     {"baseline", std::nullopt, trials(5, 15)},
                     {"noise", std::nullopt, trials(0, 20)}};
  CHECK(carried_sentence(run) ==
        "Found under transfer, and under neither baseline nor noise: nothing. Found more often under transfer than "
        "without it: Lyra (names: transfer 18 of 20, baseline 5 of 20, noise 0 of 20).");
  test.conditions[1].trials = trials(0, 20);
  CHECK(carried_sentence(run) ==
        "Found under transfer, and under neither baseline nor noise: Lyra in 18 of 20 (names).");
  test.conditions[1].trials = trials(10, 10);
  CHECK(carried_sentence(run) == "Found under transfer, and under neither baseline nor noise: nothing.");
}

TEST_CASE("the conclusion says whether the transfer did what the text does", "[experiment][report]") {
  results run = sample_results();
  CHECK(conclusion(run) ==
        "Injected as it is, the source's cache does what the source's text does: the model generates the same tokens "
        "as after reading "
        "both prompts as one text. Of 1 published cells, 0 come out of the conditions as they are named and 1 of "
        "harnesses that read "
        "something else.");
  run.tests[0].conditions[1].trials[0].token_ids.pop_back();
  CHECK(conclusion(run).find("does not always generate") != std::string::npos);
  run.conditions.clear();
  CHECK(conclusion(run).empty());
}
