// The whole matrix on the model that ships, as the first command of the README runs it.

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "experiment/phase2a_program.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// The results of a run with defaults only, made once.
const nlohmann::json& lab_matrix() {
  static const nlohmann::json matrix = [] {
    const temporary_folder folder;
    const program_outcome outcome = run_phase2a(fmt::format("--device cpu --output '{}'", folder.path().string()));
    CAPTURE(outcome.complaint);
    REQUIRE(outcome.exit_code == 0);
    return read_json_object(folder.path() / "phase2a_transfer_results.json");
  }();
  return matrix;
}

/// One field of a condition's only trial, test by test.
std::vector<nlohmann::json> column(const std::string& condition, const std::string& field) {
  std::vector<nlohmann::json> cells;
  for (const nlohmann::json& test : lab_matrix()["tests"]) {
    cells.push_back(test["conditions"][condition]["trials"][0][field]);
  }
  return cells;
}

using cells = std::vector<nlohmann::json>;
using found = std::vector<std::string>;

}  // namespace

TEST_CASE("on the lab model a transfer equals the text and injection changes nothing", "[experiment][phase2a][lab]") {
  CHECK((column("transfer", "token_ids") == column("text_oracle", "token_ids")));
  CHECK((column("same_cache", "token_ids") == column("baseline", "token_ids")));
}

TEST_CASE("on the lab model names that only the source holds come through the cache alone",
          "[experiment][phase2a][lab]") {
  CHECK(column("transfer", "markers_found")[0] == found{"Lyra", "Seattle"});
  CHECK(column("baseline", "markers_found")[0] == found{});
  CHECK(column("noise", "markers_found")[0] == found{});
}

TEST_CASE("on the lab model facts known by heart are said without a source", "[experiment][phase2a][lab]") {
  CHECK(column("baseline", "markers_found")[3] == found{"Paris"});
  CHECK(column("baseline", "markers_found")[4] == found{"H2O"});
}

TEST_CASE("on the lab model the two mistaken harnesses give the report's columns", "[experiment][phase2a][lab]") {
  CHECK((column("as_reported_same_cache", "markers_found") ==
         cells{found{}, found{"Paris"}, found{"100", "celsius"}, found{"Paris"}, found{"H2O"}}));
  CHECK((column("as_reported_transfer", "markers_found") ==
         cells{found{}, found{}, found{}, found{"Paris"}, found{"H2O"}}));
}
