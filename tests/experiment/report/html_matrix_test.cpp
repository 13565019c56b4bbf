#include "experiment/report/html_matrix.hpp"

#include "experiment/sample_results.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("chips are filled where a marker was found in every trial, dashed where in some", "[experiment][report]") {
  const test_case test = sample_results().tests[0].test;
  const condition_record two{
      "x", std::nullopt, {sample_trial(test, "Lyra Seattle", {1}), sample_trial(test, "Lyra", {1})}};
  CHECK(html_cell(test, two) ==
        R"(<span class="chip found">Lyra 2/2</span><span class="chip part">Seattle 1/2</span>)");
  CHECK(html_cell(test, reported_cell{false, {"Seattle"}}) ==
        R"(<span class="chip">Lyra</span><span class="chip found">Seattle</span>)");
}

TEST_CASE("a condition that is not applicable says why", "[experiment][report]") {
  const test_case test = sample_results().tests[0].test;
  CHECK(html_cell(test, condition_record{"x", "no <BOS>", {}}) ==
        R"(<span class="soft" title="no &lt;BOS&gt;">not applicable</span>)");
}
