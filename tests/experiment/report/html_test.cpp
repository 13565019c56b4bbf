#include "experiment/report/html.hpp"

#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include "experiment/sample_results.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

namespace {

/// The tags left open or closed out of turn; empty for a well-formed page.
std::vector<std::string> unbalanced_tags(const std::string& page) {
  std::vector<std::string> open;
  const std::vector<std::string> empty_elements = {"!doctype", "meta", "br"};
  for (std::size_t begin = page.find('<'); begin != std::string::npos; begin = page.find('<', begin + 1)) {
    const std::size_t end = page.find('>', begin);
    const bool closes = page[begin + 1] == '/';
    std::string name;
    for (std::size_t i = begin + (closes ? 2 : 1); i < end && page[i] != ' ' && page[i] != '/'; ++i) {
      name += page[i];
    }
    if (closes && !open.empty() && open.back() == name) {
      open.pop_back();
    } else if (closes || (page[end - 1] != '/' &&
                          std::find(empty_elements.begin(), empty_elements.end(), name) == empty_elements.end())) {
      open.push_back(name);
    }
  }
  return open;
}

}  // namespace

TEST_CASE("the page is well formed, for one trial and for many", "[experiment][report]") {
  results run = sample_results();
  CHECK(unbalanced_tags(report_html(run, summarize(run))).empty());
  run.settings.trials = 2;
  run.settings.temperature = 1.0;
  for (condition_record& record : run.tests[0].conditions) {
    record.trials.push_back(record.trials[0]);
  }
  run.tests[0].conditions[2] = {"as_reported_transfer", "no BOS", {}};
  CHECK(unbalanced_tags(report_html(run, summarize(run))).empty());
  CHECK(report_html(run, summarize(run)).find("Marker rates") != std::string::npos);
  CHECK(report_html(run, summarize(run)).find("not applicable") != std::string::npos);
}

TEST_CASE("the page needs nothing from elsewhere", "[experiment][report]") {
  const std::string page = report_html(sample_results(), summarize(sample_results()));
  for (const char* outside : {"http:", "https:", "src=", "@import", "url(", "<script", "<link"}) {
    CAPTURE(outside);
    CHECK(page.find(outside) == std::string::npos);
  }
  for (std::size_t at = page.find("href="); at != std::string::npos; at = page.find("href=", at + 1)) {
    const std::string file = page.substr(at + 6, page.find('"', at + 6) - at - 6);
    CHECK((file == "cells.csv" || file == "summary.json" || file == "records.jsonl" || file == "suite.json"));
  }
}

TEST_CASE("what a model or a suite says can't become markup", "[experiment][report]") {
  results run = sample_results();
  run.suite_name = "<script>a</script>";
  run.tests[0].test.name = "<script>b</script>";
  run.tests[0].conditions[0].trials[0].text = "<script>Lyra</script>";
  run.model.path = "<script>d</script>";
  CHECK(report_html(run, summarize(run)).find("<script>") == std::string::npos);
  CHECK(unbalanced_tags(report_html(run, summarize(run))).empty());
}

TEST_CASE("the page shows the table, the published one, the mistake and the texts", "[experiment][report]") {
  const std::string page = report_html(sample_results(), summarize(sample_results()));
  for (const char* part : {"1 of 1", "chip found\">Lyra", "chip error\">ERROR", "It feeds EOS.", "<mark>LYRA</mark>",
                           "Somebody, 2025", "A note.", "rope_theta"}) {
    CAPTURE(part);
    CHECK(page.find(part) != std::string::npos);
  }
}

TEST_CASE("a run with nothing published, or with nothing at all, still gives a page", "[experiment][report]") {
  results run = sample_results();
  run.reported_by.clear();
  run.tests[0].test.reported.clear();
  CHECK(unbalanced_tags(report_html(run, summarize(run))).empty());
  CHECK(report_html(run, summarize(run)).find("Published") == std::string::npos);
  CHECK(unbalanced_tags(report_html({}, {})).empty());
}
