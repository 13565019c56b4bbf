#include "experiment/report/html_comparisons.hpp"

#include "experiment/sample_results.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("each reconstructed column is shown with what its harness reads", "[experiment][report]") {
  const std::string html = html_mistakes(sample_results());
  CHECK(html.find("The published column “Transfer”") != std::string::npos);
  CHECK(html.find(">as_reported_transfer</text>") != std::string::npos);
  CHECK(html.find("class=\"same\">yes") != std::string::npos);
}

TEST_CASE("sections without content are left out", "[experiment][report]") {
  results run = sample_results();
  CHECK(html_rates(run).empty());
  run.tests[0].test.reported.clear();
  CHECK(html_mistakes(run).empty());
  run.conditions[1].must_equal_reference = false;
  CHECK(html_agreement(run).empty());
}
