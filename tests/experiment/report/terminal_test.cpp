#include "kvtransfer/experiment/report/terminal.hpp"

#include "experiment/sample_results.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("the terminal shows the run's table, the published one and the verdicts", "[experiment][report]") {
  CHECK(report_terminal(sample_results()) ==
        "LlamaForCausalLM: 3 layers, hidden 64, 4 query heads, 2 KV heads, head_dim 16, vocabulary 97\n"
        "cpu, float32; greedy, 1 trial, seed 0, up to 40 new tokens\n"
        "\n"
        "Test   Text oracle      Transfer\n"
        "-----  ---------------  ---------------\n"
        "names  [Lyra, Seattle]  [Lyra, Seattle]\n"
        "\n"
        "Published: Somebody, 2025\n"
        "Test   noise  Transfer  reconstructed\n"
        "-----  -----  --------  -------------\n"
        "names  ERROR  []        []\n"
        "\n"
        "transfer = text_oracle, token for token, in 1 of 1 tests.\n"
        "The published column transfer is given by as_reported_transfer in 1 of 1 cells, by transfer in 0.\n");
}

TEST_CASE("a run without published results has one table", "[experiment][report]") {
  results run = sample_results();
  run.tests[0].test.reported.clear();
  CHECK(report_terminal(run).find("Published") == std::string::npos);
}

TEST_CASE("columns are aligned by characters, not bytes", "[experiment][report]") {
  CHECK(detail::aligned({{"é", "b"}, {"xy", "z"}}) == "é   b\n--  -\nxy  z\n");
}
