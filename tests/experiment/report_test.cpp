#include "kvtransfer/experiment/report.hpp"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <vector>

#include "experiment/records_json.hpp"
#include "experiment/report/html.hpp"
#include "experiment/report/markdown.hpp"
#include "experiment/sample_results.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::detail;
using namespace kvtransfer::test;

TEST_CASE("the reports and the results are written into a new folder", "[experiment][report]") {
  const temporary_folder folder;
  const auto output = folder.path() / "a" / "b";
  write_reports(sample_results(), output, "phase2a");
  const nlohmann::json document = read_json_object(output / "phase2a_transfer_results.json");
  CHECK(document == nlohmann::json(to_json_value(sample_results())));
  CHECK(read_text(output / "phase2a_transfer_results.json") == json_text(to_json_value(sample_results()), 1) + "\n");
  std::vector<std::filesystem::path> written;
  for (const auto& entry : std::filesystem::directory_iterator(output)) {
    written.push_back(entry.path());
  }
  std::vector<std::filesystem::path> listed = report_files(output, "phase2a");
  std::sort(written.begin(), written.end());
  std::sort(listed.begin(), listed.end());
  CHECK(written == listed);
  CHECK(read_text(output / "report.md") == report_markdown(sample_results(), summarize(sample_results())));
  CHECK(read_text(output / "report.html") == report_html(sample_results(), summarize(sample_results())));
}

TEST_CASE("crossings that a factorial left out are in every file, by reason", "[experiment][report]") {
  const temporary_folder folder;
  results run = sample_results();
  run.left_out = {{"keys=unrotated, visible=hidden", "nothing of the cache is seen"},
                  {"keys=rerotated, visible=hidden", "nothing of the cache is seen"},
                  {"keys=rerotated, position=restart", "the text does not follow <them>"}};
  write_reports(run, folder.path(), "phase2a");
  for (const char* file : {"phase2a_transfer_results.json", "summary.json"}) {
    const nlohmann::json left_out = read_json_object(folder.path() / file).at("left_out");
    REQUIRE(left_out.size() == 3);
    CHECK(left_out[2] == nlohmann::json{{"crossing", "keys=rerotated, position=restart"},
                                        {"reason", "the text does not follow <them>"}});
  }
  const std::string both = "keys=unrotated, visible=hidden; keys=rerotated, visible=hidden";
  CHECK(read_text(folder.path() / "report.md").find("| nothing of the cache is seen | 2 | " + both + " |") !=
        std::string::npos);
  const std::string page = read_text(folder.path() / "report.html");
  CHECK(page.find("3 of the factors' crossings") != std::string::npos);
  CHECK(page.find(both) != std::string::npos);
  CHECK(page.find("does not follow &lt;them&gt;") != std::string::npos);
  CHECK(report_html(sample_results(), summarize(sample_results())).find("Crossings left out") == std::string::npos);
}

TEST_CASE("an output that is a file, or lies below one, is refused", "[experiment][report]") {
  const temporary_folder folder;
  const auto file = folder.put("taken", "x");
  CHECK_THROWS_AS(write_reports(sample_results(), file, "phase2a"), file_error);
  CHECK_THROWS_AS(write_reports(sample_results(), file / "below", "phase2a"), file_error);
}

TEST_CASE("where a report can't be written there are no results either", "[experiment][report]") {
  const temporary_folder folder;
  std::filesystem::create_directory(folder.path() / "report.html");
  CHECK_THROWS_AS(write_reports(sample_results(), folder.path(), "phase2a"), file_error);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "phase2a_transfer_results.json"));
}

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
        "Nothing was run to compare the source's cache with.\n"
        "The answer passed (its markers found) in 1 of 1 prompt with the source's cache.\n"
        "transfer = text_oracle, token for token, in 1 of 1 tests.\n"
        "The published column transfer is given by as_reported_transfer in 1 of 1 cells, by transfer in 0.\n");
}

TEST_CASE("a run without published results has one table", "[experiment][report]") {
  results run = sample_results();
  run.tests[0].test.reported.clear();
  CHECK(report_terminal(run).find("Published") == std::string::npos);
}
