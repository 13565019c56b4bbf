// The program against what transformers makes of the same lines (fixtures/, written by make_config_fixtures.py).

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/test.hpp"

namespace kvtransfer::test {
namespace {

const std::filesystem::path config_fixtures = KVT_SOURCE_DIR "/tests/rope/fixtures";

struct program_answers {
  std::vector<nlohmann::json> lines;
  int status = 0;
};

/// What rope_of_config says to the lines of `input`.
program_answers rope_of_config(const std::filesystem::path& input) {
  const std::string command = KVT_PROGRAMS_DIR "/rope_of_config < '" + input.string() + "'";
  program_answers answers;
  std::FILE* pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string line;
  for (int letter = std::fgetc(pipe); letter != EOF; letter = std::fgetc(pipe)) {
    if (letter == '\n') {
      answers.lines.push_back(nlohmann::json::parse(line));
      line.clear();
    } else {
      line += static_cast<char>(letter);
    }
  }
  answers.status = ::pclose(pipe) >> 8;  // the exit status, of what wait gives
  return answers;
}

void check_layer(const nlohmann::json& ours, const nlohmann::json& theirs) {
  REQUIRE(ours.at("rotates") == theirs.at("rotates"));
  if (!theirs.at("rotates")) {
    return;
  }
  CHECK(ours.at("pairing") == theirs.at("pairing"));
  CHECK(ours.at("rotary_dim") == theirs.at("rotary_dim"));
  CHECK(ours.at("attention_scaling").get<double>() ==
        Approx(theirs.at("attention_scaling").get<double>()).epsilon(1e-6));
  const auto found = ours.at("inv_freq").get<std::vector<double>>();
  const auto expected = theirs.at("inv_freq").get<std::vector<double>>();
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    CHECK(std::abs(found[i] - expected[i]) <= 3e-7 * std::abs(expected[i]));
  }
}

void check_answer(const nlohmann::json& ours, const nlohmann::json& theirs) {
  REQUIRE(ours.at("name") == theirs.at("name"));
  REQUIRE(ours.contains("error") == theirs.contains("error"));
  for (std::size_t i = 0; !theirs.contains("error") && i < theirs.at("lengths").size(); ++i) {
    const nlohmann::json& our_layers = ours.at("lengths").at(i).at("layers");
    const nlohmann::json& layers = theirs.at("lengths").at(i).at("layers");
    REQUIRE(our_layers.size() == layers.size());
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      INFO("length " << theirs.at("lengths").at(i).at("length") << ", layer " << layer);
      check_layer(our_layers.at(layer), layers.at(layer));
    }
  }
}

}  // namespace

TEST_CASE("every spelling is read as transformers reads it, or refused where it cannot", "[rope][rope_of_config]") {
  std::ifstream stream(config_fixtures / "config_answers.json");
  const nlohmann::json expected = nlohmann::json::parse(stream).at("answers");
  REQUIRE(expected.size() == 6);
  for (const auto& [file, answers] : expected.items()) {
    const program_answers found = rope_of_config(config_fixtures / file);
    CHECK(found.status == 0);
    REQUIRE(found.lines.size() == answers.size());
    for (std::size_t i = 0; i < answers.size(); ++i) {
      INFO(file << ": " << answers.at(i).at("name"));
      check_answer(found.lines[i], answers.at(i));
    }
  }
}

TEST_CASE("a model that does not rotate its keys as Llama does is never taken for Llama", "[rope][rope_of_config]") {
  const program_answers found = rope_of_config(config_fixtures / "unknown_model_types.jsonl");
  CHECK(found.status == 0);
  REQUIRE(found.lines.size() == 8);
  for (const nlohmann::json& answer : found.lines) {
    INFO(answer.at("name"));
    if (answer.contains("error")) {
      CHECK(answer.at("error").get<std::string>().starts_with("config: model_type: expected"));
      continue;
    }
    // Kimi-Linear and Zamba 2 have no positions; Beam rotates its first layer alone.
    const nlohmann::json& layers = answer.at("lengths").at(0).at("layers");
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      const bool beams_first = layer == 0 && answer.at("name").get<std::string>().starts_with("Beam");
      CHECK(layers.at(layer).at("rotates") == beams_first);
    }
  }
}

TEST_CASE("a line that is no JSON gets an answer of its own, and the exit status says so", "[rope][rope_of_config]") {
  const std::filesystem::path input = std::filesystem::temp_directory_path() / "kvtransfer_rope_of_config.jsonl";
  std::ofstream(input) << "{\"name\": \"cut of\n"
                       << R"({"name": "no config"})" << '\n'
                       << R"({"name": "right", "lengths": [1], "config": {"model_type": "llama", "hidden_size": 8,)"
                       << R"( "num_attention_heads": 2, "num_hidden_layers": 1}})" << '\n';
  const program_answers found = rope_of_config(input);
  std::filesystem::remove(input);
  CHECK(found.status == 2);
  REQUIRE(found.lines.size() == 3);
  CHECK(found.lines[0].at("name").is_null());
  CHECK(found.lines[0].at("error") == "line 1: JSON: expected valid JSON, got a syntax error at byte 17");
  CHECK(found.lines[1].at("name") == "no config");
  CHECK(found.lines[1].contains("error"));
  CHECK(found.lines[2].at("lengths").at(0).at("layers").at(0).at("inv_freq") ==
        nlohmann::json{1.0, static_cast<double>(0.01F)});
}

}  // namespace kvtransfer::test
