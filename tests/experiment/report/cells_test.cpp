#include "experiment/report/cells.hpp"

#include "experiment/sample_results.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("a cell lists the markers found", "[experiment][report]") {
  const results run = sample_results();
  const test_record& test = run.tests[0];
  CHECK(cell_text(test.test, test.conditions[0]) == "[Lyra, Seattle]");
  CHECK(cell_text(test.test, test.conditions[2]) == "[]");
  CHECK(cell_text(test.test, {"x", "no BOS", {}}) == "not applicable");
}

TEST_CASE("a cell of several trials counts them", "[experiment][report]") {
  const test_case test = sample_results().tests[0].test;
  const condition_record record{"x", std::nullopt, {sample_trial(test, "Lyra", {1}), sample_trial(test, "", {})}};
  CHECK(cell_text(test, record) == "[Lyra 1/2]");
}

TEST_CASE("a published cell agrees with the same markers in any order and case", "[experiment][report]") {
  const results run = sample_results();
  const test_record& test = run.tests[0];
  CHECK(agrees({false, {"seattle", "LYRA"}}, test.test, test.conditions[0]));
  CHECK_FALSE(agrees({false, {"Lyra"}}, test.test, test.conditions[0]));
  CHECK(agrees({false, {}}, test.test, test.conditions[2]));
  CHECK_FALSE(agrees({true, {}}, test.test, test.conditions[2]));
  CHECK_FALSE(agrees({false, {}}, test.test, {"x", "no BOS", {}}));
}

TEST_CASE("published columns come in the report's order", "[experiment][report]") {
  results run = sample_results();
  CHECK(published_columns(run) == std::vector<std::string>{"noise", "transfer"});
  run.tests[0].test.reported["another"] = {};
  CHECK(published_columns(run) == std::vector<std::string>{"noise", "transfer", "another"});
  CHECK(column_title(run, "transfer") == "Transfer");
  CHECK(column_title(run, "another") == "another");
}
