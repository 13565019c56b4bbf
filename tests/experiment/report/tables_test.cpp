#include "experiment/report/tables.hpp"

#include "experiment/sample_results.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("reconstructions stand beside what they reconstruct, not among the run's own columns",
          "[experiment][report]") {
  const results run = sample_results();
  CHECK(own_table(run) ==
        text_table{{"Test", "Text oracle", "Transfer"}, {"names", "[Lyra, Seattle]", "[Lyra, Seattle]"}});
  CHECK(published_table(run) ==
        text_table{{"Test", "noise", "Transfer", "reconstructed"}, {"names", "ERROR", "[]", "[]"}});
}

TEST_CASE("a test without a published cell leaves it empty", "[experiment][report]") {
  results run = sample_results();
  run.tests.push_back(run.tests[0]);
  run.tests[1].test.reported.clear();
  CHECK(published_table(run)[2] == std::vector<std::string>{"names", "", "", "[]"});
}

TEST_CASE("columns are aligned by characters, not bytes", "[experiment][report]") {
  CHECK(aligned({{"é", "b"}, {"xy", "z"}}) == "é   b\n--  -\nxy  z\n");
}
