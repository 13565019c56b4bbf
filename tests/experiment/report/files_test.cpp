#include "kvtransfer/experiment/report/files.hpp"

#include <filesystem>

#include "experiment/sample_results.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

TEST_CASE("the reports and the results are written into a new folder", "[experiment][report]") {
  const temporary_folder folder;
  const auto output = folder.path() / "a" / "b";
  write_reports(sample_results(), output, "phase2a");
  const nlohmann::json document = read_json_object(output / "phase2a_transfer_results.json");
  CHECK(document == nlohmann::json(to_json_value(sample_results())));
  CHECK(read_text(output / "report.md") == report_markdown(sample_results()));
  CHECK(read_text(output / "report.html") == report_html(sample_results()));
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
