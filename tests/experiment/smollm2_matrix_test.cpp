// The matrix on a real model in 4 bits, from its GGUF file: raw prompts, and prompts in its chat format.

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "experiment/phase2a_program.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

bool has_model() {
  const char* const path = std::getenv("KVT_SMOLLM2_GGUF");
  if (path == nullptr || !std::filesystem::exists(path)) {
    WARN("skipped: KVT_SMOLLM2_GGUF does not name SmolLM2-135M-Instruct.Q4_1.gguf");
    return false;
  }
  return true;
}

nlohmann::json run_matrix(const std::string& arguments) {
  const temporary_folder folder;
  const program_outcome outcome =
      run_phase2a(fmt::format("--model '{}' --device cpu --output '{}' {}", std::getenv("KVT_SMOLLM2_GGUF"),
                              folder.path().string(), arguments));
  CAPTURE(outcome.complaint);
  REQUIRE(outcome.exit_code == 0);
  return read_json_object(folder.path() / "phase2a_transfer_results.json");
}

/// One field of a condition's only trial, test by test.
std::vector<nlohmann::json> column(const nlohmann::json& matrix, const std::string& condition,
                                   const std::string& field) {
  std::vector<nlohmann::json> cells;
  for (const nlohmann::json& test : matrix["tests"]) {
    cells.push_back(test["conditions"][condition]["trials"][0][field]);
  }
  return cells;
}

void check_equalities(const nlohmann::json& matrix) {
  REQUIRE(matrix["tests"].size() == 5);
  CHECK((column(matrix, "transfer", "token_ids") == column(matrix, "text_oracle", "token_ids")));
  CHECK((column(matrix, "same_cache", "token_ids") == column(matrix, "baseline", "token_ids")));
}

using found = std::vector<std::string>;

}  // namespace

TEST_CASE("on SmolLM2 raw prompts end at once where nothing is injected, and a transfer equals the text",
          "[experiment][phase2a][smollm2]") {
  if (!has_model()) {
    return;
  }
  const nlohmann::json matrix = run_matrix("");
  check_equalities(matrix);
  CHECK(column(matrix, "baseline", "stalled") == std::vector<nlohmann::json>{true, true, true, false, false});
  for (const nlohmann::json& test : matrix["tests"]) {
    const nlohmann::json& conditions = test["conditions"];
    CHECK(conditions["as_reported_transfer"].contains("not_applicable"));
    CHECK(conditions["transfer"]["trials"][0]["read"][0]["role"] == "source");  // this model adds no BOS
  }
}

TEST_CASE("on SmolLM2 in chat form a transfer equals the text, and a name comes through the cache alone",
          "[experiment][phase2a][smollm2]") {
  if (!has_model()) {
    return;
  }
  const nlohmann::json matrix =
      run_matrix("--prompt-form chat --conditions baseline,text_oracle,same_cache,noise,transfer");
  check_equalities(matrix);
  CHECK(matrix["settings"]["prompt_form"] == "chat");
  CHECK(column(matrix, "transfer", "markers_found")[0] == found{"Lyra", "Seattle"});
  CHECK(column(matrix, "baseline", "markers_found")[0] == found{});
  CHECK(column(matrix, "noise", "markers_found")[0] == found{});
  std::vector<std::string> roles;
  for (const nlohmann::json& part : matrix["tests"][0]["conditions"]["transfer"]["trials"][0]["read"]) {
    roles.push_back(part["role"]);
  }
  CHECK(roles == found{"format", "source", "format", "target", "format"});
}
