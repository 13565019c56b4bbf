// The program's exit status and what it writes.

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "kvtransfer/core/json_file.hpp"
#include "support/temporary_folder.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {
namespace {

const std::filesystem::path lab_folder = std::filesystem::path(KVT_SOURCE_DIR) / "examples/models/lab-llama";

struct moves_outcome {
  int status = 0;
  std::string out;
  std::string err;
};

/// What the program answers to `arguments`.
moves_outcome run_verify_moves(const std::string& arguments) {
  const temporary_folder folder;
  const std::string out = (folder.path() / "out").string();
  const std::string err = (folder.path() / "err").string();
  const std::string command = KVT_PROGRAMS_DIR "/verify_moves --device cpu " + arguments + " > " + out + " 2> " + err;
  const int status = std::system(command.c_str());  // NOLINT(concurrency-mt-unsafe)
  return {WEXITSTATUS(status), read_text(out), read_text(err)};
}

}  // namespace

TEST_CASE("the program's exit status is 0 where moves hold", "[examples][verify_moves]") {
  const temporary_folder folder;
  const std::string report = (folder.path() / "verdict.json").string();
  for (const std::string dtype : {"float32", "bfloat16"}) {
    const moves_outcome found =
        run_verify_moves(lab_folder.string() + " --lengths 8 --tokens 3 --dtype " + dtype + " --json " + report);
    CAPTURE(found.out, found.err);
    CHECK(found.status == 0);
    CHECK(found.out.starts_with(lab_folder.string() + " in " + dtype + ": holds\n"));
    const nlohmann::json verdict = parse_json(read_text(report), report);
    CHECK(verdict.at("dtype") == dtype);
    CHECK(verdict.at("checks").size() == 5);
    CHECK(verdict.at("greedy").at(0).at("text").is_string());
  }
}

TEST_CASE("the program's exit status is 1 where keys are moved by another model's parameters",
          "[examples][verify_moves]") {
  const temporary_folder folder;
  nlohmann::json config = parse_json(read_text(lab_folder / "config.json"), "config.json");
  config["rope_theta"] = 20000.0;
  const std::string other = folder.put("config.json", config.dump()).string();
  const moves_outcome found = run_verify_moves("lab-llama --lengths 8 --tokens 3 --rotary-of " + other);
  CAPTURE(found.out, found.err);
  CHECK(found.status == 1);
  CHECK(found.out.starts_with("lab-llama in bfloat16: does not hold: shift at length 8"));
}

TEST_CASE("the program's exit status is 2, with the reason on one line, where a model is refused",
          "[examples][verify_moves]") {
  const temporary_folder folder;
  nlohmann::json config = parse_json(read_text(lab_folder / "config.json"), "config.json");
  config["model_type"] = "bloom";
  config["architectures"] = {"BloomForCausalLM"};
  folder.put("config.json", config.dump());
  const std::string unknown = folder.path().string();
  for (const std::string& arguments :
       {unknown, std::string("nowhere"), std::string("lab-llama --dtype int8"), std::string("lab-llama --lengths 1"),
        std::string("lab-llama --delta 5000"), std::string("lab-llama --lengths none")}) {
    const moves_outcome found = run_verify_moves(arguments + " --json -");
    CAPTURE(arguments, found.out, found.err);
    CHECK(found.status == 2);
    CHECK(found.err.starts_with("verify_moves: "));
    CHECK(found.err.find(": refused: ") != std::string::npos);
    CHECK(found.err.find('\n') == found.err.size() - 1);
    const nlohmann::json verdict = parse_json(found.out, "stdout");
    CHECK(verdict.at("verdict") == "refused");
    CHECK(verdict.at("checks").empty());
  }
}

}  // namespace kvtransfer::test
