#include "experiment/report/html_sweeps.hpp"

#include <string>
#include <vector>

#include "experiment/report/html.hpp"
#include "experiment/report/html_summary.hpp"
#include "experiment/sample_results.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// A run with a sweep of three layers, each alone and left out.
results swept_run() {
  results run = sample_results();
  for (const char* layer : {"0", "1", "2"}) {
    for (const char* way : {"only", "without"}) {
      condition_description step = sample_condition(std::string("transfer+") + way + "-layers:" + layer, "step");
      step.reference = "text_oracle";
      step.factors = {{"sweep", "layers"}, {"layer", layer}, {"way", way}};
      run.conditions.push_back(step);
      condition_record record = run.tests[0].conditions[1];
      record.id = step.id;
      run.tests[0].conditions.push_back(std::move(record));
    }
  }
  return run;
}

std::size_t count_of_text(const std::string& page, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = page.find(part); at != page.npos; at = page.find(part, at + 1)) {
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("a sweep is a map with its longest axis from top to bottom", "[experiment][report]") {
  const results run = swept_run();
  const std::string html = html_sweeps(run, summarize(run));
  CHECK(html.find("Rates by way and layer") != std::string::npos);
  CHECK(count_of_text(html, "<rect") == 6);
  CHECK(html_sweeps(sample_results(), summarize(sample_results())).empty());
}

TEST_CASE("steps of sweeps are folded away in the table of rates, and in no other", "[experiment][report]") {
  const results run = swept_run();
  const std::string rates = html_cells(run, summarize(run));
  CHECK(rates.find("<summary>The 6 steps of the sweeps</summary>") != std::string::npos);
  CHECK(rates.find("transfer+only-layers:0") > rates.find("<details>"));
  CHECK(html_divergence(run) == html_divergence(sample_results()));
  const std::string page = report_html(run, summarize(run));
  CHECK(page.find("And 6 steps of sweeps") != std::string::npos);
  CHECK(html_cells(sample_results(), summarize(sample_results())).find("<details>") == std::string::npos);
}
