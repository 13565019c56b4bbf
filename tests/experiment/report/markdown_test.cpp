#include "experiment/report/markdown.hpp"

#include "experiment/sample_results.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("text that Markdown would read as markup is escaped", "[experiment][report]") {
  CHECK(markdown_escape("a|b*c`d<e>&~$") == "a\\|b\\*c\\`d\\<e\\>\\&\\~\\$");
  CHECK(markdown_escape("text_oracle _x_") == "text_oracle \\_x\\_");
  CHECK(markdown_escape("[Lyra]") == "[Lyra]");
  CHECK(markdown_escape("[a](b)") == "\\[a\\](b)");
  CHECK(markdown_escape("one\ntwo\x01") == "one ⏎ two");
}

TEST_CASE("the Markdown report has the tables, the texts and the settings", "[experiment][report]") {
  const std::string report = report_markdown(sample_results(), summarize(sample_results()));
  for (const char* part :
       {"KV-cache transfer: sample", "| names | [Lyra, Seattle] | [Lyra, Seattle] |", "Published: Somebody, 2025",
        "**as_reported_transfer**: It feeds EOS.", "| names | [] | [] | yes | [Lyra, Seattle] |",
        "I am LYRA of \\<Seattle\\>.", "| max_new_tokens | 40 |", "models/small"}) {
    CAPTURE(part);
    CHECK(report.find(part) != std::string::npos);
  }
}

TEST_CASE("every row of a Markdown table has as many cells as its heading", "[experiment][report]") {
  const auto cells = [](const std::string& line) {
    std::int64_t bars = 0;
    for (std::size_t i = 0; i < line.size(); ++i) {
      bars += line[i] == '|' && (i == 0 || line[i - 1] != '\\') ? 1 : 0;
    }
    return bars;
  };
  results run = sample_results();
  run.tests[0].conditions[0].trials[0].text = "a|b\n|c";
  const std::string report = report_markdown(run, summarize(run));
  std::int64_t in_table = 0;
  for (std::size_t begin = 0; begin < report.size();) {
    const std::size_t end = report.find('\n', begin);
    const std::string line = report.substr(begin, end - begin);
    const bool row = line.starts_with("|");
    CHECK((!row || in_table == 0 || cells(line) == in_table));
    in_table = row ? cells(line) : 0;
    begin = end + 1;
  }
}
