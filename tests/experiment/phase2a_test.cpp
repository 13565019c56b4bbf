// The example program phase2a as its user meets it: arguments in, files and an exit code out.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "experiment/json_alike.hpp"
#include "experiment/phase2a_program.hpp"
#include "kvtransfer/experiment/condition_registry.hpp"
#include "kvtransfer/experiment/report.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// A model, an output folder, and the arguments that name both.
struct phase2a_setup {
  temporary_folder folder;
  std::filesystem::path model = folder.path() / "model";
  std::filesystem::path output = folder.path() / "output";
  std::filesystem::path results = output / "phase2a_transfer_results.json";

  phase2a_setup() { write_babbling_model(model); }

  std::string arguments(const std::string& more = "") const {
    return fmt::format("--model '{}' --output '{}' --device cpu --max-new-tokens 5 {}", model.string(), output.string(),
                       more);
  }

  /// Whether the arguments are refused in one line that has `part` in it, without results.
  bool refuses(const std::string& more, const std::string& part) const {
    const program_outcome outcome = run_phase2a(arguments(more));
    CAPTURE(more, outcome.exit_code, outcome.complaint, part);
    const bool one_line = outcome.complaint.find('\n') == outcome.complaint.size() - 1;
    CHECK(outcome.exit_code == 2);
    CHECK(one_line);
    CHECK(outcome.complaint.starts_with("phase2a: "));
    CHECK(outcome.complaint.find(part) != std::string::npos);
    CHECK_FALSE(std::filesystem::exists(results));
    return outcome.exit_code == 2 && one_line;
  }
};

}  // namespace

TEST_CASE("the program writes results, reports and the table", "[experiment][phase2a]") {
  const phase2a_setup setup;
  const program_outcome outcome = run_phase2a(setup.arguments("--trials 2 --temperature 0.9 --seed 7"));
  REQUIRE(outcome.exit_code == 0);
  CHECK(outcome.output.find("identity_transfer") != std::string::npos);
  CHECK(std::filesystem::exists(setup.output / "report.md"));
  CHECK(std::filesystem::exists(setup.output / "report.html"));
  const nlohmann::json document = read_json_object(setup.results);
  CHECK(document["schema_version"] == 2);
  CHECK(document["settings"]["max_new_tokens"] == 5);
  CHECK(document["settings"]["temperature"] == 0.9);
  CHECK(document["settings"]["dtype"] == "float32");
  CHECK(document["settings"]["conditions"].size() == 7);
  REQUIRE(document["tests"].size() == 5);
  for (const nlohmann::json& test : document["tests"]) {
    for (const std::size_t trial : {0, 1}) {
      const auto tokens = [&](const char* id) { return test["conditions"][id]["trials"][trial]["token_ids"]; };
      CHECK(test["conditions"]["noise"]["trials"][trial]["seed"] == 7 + trial);
      CHECK(tokens("transfer") == tokens("text_oracle"));
      CHECK(tokens("same_cache") == tokens("baseline"));
    }
  }
}

namespace {

/// The trials of records, without what says by which command each was made, and when, and the checksum of all that.
nlohmann::json trials_in(const std::string& lines) {
  nlohmann::json trials = nlohmann::json::object();  // in whatever order they ended
  std::istringstream stream(lines);
  for (std::string line; std::getline(stream, line);) {
    nlohmann::json trial = nlohmann::json::parse(line);
    trial.erase("command");
    trial.erase("date");
    trial.erase("checksum");
    const std::string key = trial["test"].get<std::string>() + " " + trial["condition"].get<std::string>();
    trials[key] = std::move(trial);
  }
  return trials;
}

}  // namespace

TEST_CASE("a run goes on from its journal, and only with its own settings", "[experiment][phase2a]") {
  const phase2a_setup setup;
  REQUIRE(run_phase2a(setup.arguments()).exit_code == 0);
  const nlohmann::json whole = read_json_object(setup.results);
  const auto journal = setup.output / "records.jsonl";
  const std::string lines = read_text(journal);
  std::ofstream(journal, std::ios::binary) << lines.substr(0, lines.size() / 2);
  std::filesystem::remove(setup.results);
  CHECK(setup.refuses("--resume --max-new-tokens 3", "resume: max_new_tokens: expected 5"));
  REQUIRE(run_phase2a(setup.arguments("--resume")).exit_code == 0);
  CHECK(alike(read_json_object(setup.results)["tests"], whole["tests"]));
  CHECK(trials_in(lines).size() == 35);
  CHECK(alike(trials_in(read_text(journal)), trials_in(lines)));
}

TEST_CASE("a run that goes on with other conditions leaves the reports of the earlier ones under another name",
          "[experiment][phase2a]") {
  const phase2a_setup setup;
  const auto aside = setup.folder.path() / "output.1";
  REQUIRE(run_phase2a(setup.arguments("--conditions baseline,transfer")).exit_code == 0);
  const auto files = report_files(setup.output, "phase2a");
  std::map<std::string, std::string> before;
  for (const auto& file : files) {
    before[file.filename().string()] = read_text(file);
  }
  const std::string lines = read_text(setup.output / "records.jsonl");
  SECTION("what tells of more takes their place") {
    for (const char* more : {"--conditions transfer,baseline --resume", "--conditions baseline,zero,transfer --resume",
                             "--conditions baseline,zero,transfer --trials 2 --resume"}) {
      REQUIRE(run_phase2a(setup.arguments(more)).exit_code == 0);
      CHECK_FALSE(std::filesystem::exists(aside));
    }
  }
  SECTION("what tells of less, or of something else, does not") {
    const std::string other = GENERATE(as<std::string>(), "zero", "baseline", "baseline,transfer --seed 1",
                                       "baseline,transfer --suite phase2a:2");
    CAPTURE(other);
    const program_outcome outcome = run_phase2a(setup.arguments("--resume --conditions " + other));
    REQUIRE(outcome.exit_code == 0);
    CHECK_THAT(outcome.complaint, contains("An earlier run's results are now in " + aside.string()));
    for (const auto& [name, text] : before) {
      CAPTURE(name);
      CHECK(read_text(aside / name) == text);
      CHECK(std::filesystem::exists(setup.output / name));
    }
    CHECK(read_text(setup.output / "records.jsonl").starts_with(lines));
    REQUIRE(run_phase2a(setup.arguments("--resume --conditions baseline,transfer,zero")).exit_code == 0);
    const nlohmann::json again = read_json_object(setup.results)["tests"];
    const nlohmann::json first = read_json_object(aside / setup.results.filename())["tests"];
    for (std::size_t i = 0; i < first.size(); ++i) {
      CHECK(alike(again[i]["conditions"]["transfer"], first[i]["conditions"]["transfer"]));
    }
  }
}

TEST_CASE("reports that can't be moved beside their folder are moved into one in it", "[experiment][phase2a]") {
  phase2a_setup setup;
  setup.output = setup.folder.path() / std::string(255, 'o');  // no name is longer, so none has .1 behind it
  setup.results = setup.output / "phase2a_transfer_results.json";
  REQUIRE(run_phase2a(setup.arguments("--conditions baseline")).exit_code == 0);
  const std::string before = read_text(setup.results);
  const program_outcome outcome = run_phase2a(setup.arguments("--conditions zero --resume"));
  REQUIRE(outcome.exit_code == 0);
  CHECK_THAT(outcome.complaint, contains("An earlier run's results are now in "));
  CHECK(read_text(setup.output / "reports.1" / setup.results.filename()) == before);
  CHECK(read_json_object(setup.results)["tests"][0]["conditions"].contains("zero"));
}

TEST_CASE("a token id changed by hand in the records is refused, and nothing is changed", "[experiment][phase2a]") {
  const phase2a_setup setup;
  REQUIRE(run_phase2a(setup.arguments("--conditions baseline")).exit_code == 0);
  const auto journal = setup.output / "records.jsonl";
  std::string lines = read_text(journal);
  const std::size_t at = lines.find('[', lines.find("\"token_ids\":")) + 1;
  lines[at] = lines[at] == '1' ? '2' : '1';
  std::ofstream(journal, std::ios::binary) << lines;
  const std::string results = read_text(setup.results);
  const program_outcome outcome = run_phase2a(setup.arguments("--conditions baseline --resume"));
  CHECK(outcome.exit_code == 2);
  CHECK_THAT(outcome.complaint,
             contains("line 1: checksum: expected that of the line as a run wrote it (delete the line"));
  CHECK(read_text(journal) == lines);
  CHECK(read_text(setup.results) == results);
  std::ofstream(journal, std::ios::binary) << lines.substr(lines.find('\n') + 1);  // as the complaint says
  CHECK(run_phase2a(setup.arguments("--conditions baseline --resume")).exit_code == 0);
  const std::string again = read_text(journal);
  CHECK(std::ranges::count(again, '\n') == std::ranges::count(lines, '\n'));
}

TEST_CASE("a run that is refused leaves an older run's journal alone", "[experiment][phase2a]") {
  const phase2a_setup setup;
  REQUIRE(run_phase2a(setup.arguments("--conditions baseline")).exit_code == 0);
  const std::string lines = read_text(setup.output / "records.jsonl");
  CHECK(run_phase2a(setup.arguments("--max-new-tokens 300")).exit_code == 2);
  CHECK(read_text(setup.output / "records.jsonl") == lines);
}

TEST_CASE("a run leaves an earlier run's files under another name", "[experiment][phase2a]") {
  const phase2a_setup setup;
  const std::string quick = "--conditions baseline --seed ";
  const auto seed_in = [&](const std::string& folder) {
    return read_json_object(setup.folder.path() / folder / "phase2a_transfer_results.json")["settings"]["seed"];
  };
  for (const char* seed : {"1", "2", "3"}) {
    REQUIRE(run_phase2a(setup.arguments(quick + seed)).exit_code == 0);
  }
  CHECK(seed_in("output.1") == 1);
  CHECK(seed_in("output.2") == 2);
  CHECK(seed_in("output") == 3);
  CHECK(std::filesystem::exists(setup.folder.path() / "output.1" / "report.html"));
}

TEST_CASE("a refused run writes nothing and leaves what is there", "[experiment][phase2a]") {
  const phase2a_setup setup;
  setup.refuses("--max-new-tokens 300", "max_position_embeddings");
  CHECK_FALSE(std::filesystem::exists(setup.output));
  REQUIRE(run_phase2a(setup.arguments("--conditions baseline")).exit_code == 0);
  CHECK(run_phase2a(setup.arguments("--max-new-tokens 300")).exit_code == 2);
  CHECK(run_phase2a(setup.arguments("--conditions baseline --resume --temperature 1")).exit_code == 2);
  CHECK_FALSE(std::filesystem::exists(setup.folder.path() / "output.1"));
  CHECK(read_json_object(setup.results)["settings"]["seed"] == 0);
}

TEST_CASE("the help lists every condition", "[experiment][phase2a]") {
  const program_outcome outcome = run_phase2a("--help");
  CHECK(outcome.exit_code == 0);
  for (const std::string& id : condition_registry::standard().ids()) {
    CAPTURE(id);
    CHECK(outcome.output.find("\n  " + id + " ") != std::string::npos);
  }
}

TEST_CASE("a run has as many threads as it is given", "[experiment][phase2a]") {
  const phase2a_setup setup;
  REQUIRE(run_phase2a(setup.arguments("--conditions baseline --threads 3")).exit_code == 0);
  CHECK(read_json_object(setup.results)["settings"]["threads"] == 3);
  CHECK(read_json_object(setup.results)["program"]["threads"] == 3);
}

TEST_CASE("threads sleep while they wait unless the user has it otherwise", "[experiment][phase2a]") {
  const phase2a_setup setup;
  const auto last_spin_count = [&](const std::string& environment) {
    const program_outcome outcome =
        run_phase2a(setup.arguments("--conditions baseline"), environment + " OMP_DISPLAY_ENV=verbose");
    CHECK(outcome.exit_code == 0);
    const std::string name = "GOMP_SPINCOUNT = '";
    const std::size_t begin = outcome.complaint.rfind(name);
    REQUIRE(begin != std::string::npos);
    const std::size_t value = begin + name.size();
    return outcome.complaint.substr(value, outcome.complaint.find('\'', value) - value);
  };
  CHECK(last_spin_count("env -u OMP_WAIT_POLICY") == "0");
  CHECK(last_spin_count("env OMP_WAIT_POLICY=active") != "0");
  CHECK(last_spin_count("env -u OMP_WAIT_POLICY GOMP_SPINCOUNT=77") == "77");
}

TEST_CASE("wrong arguments are refused in one line", "[experiment][phase2a]") {
  const phase2a_setup setup;
  const std::vector<std::pair<std::string, std::string>> refused = {
      {"--trials 0", "--trials"},
      {"--trials many", "--trials"},
      {"--seed -1", "--seed"},
      {"--max-new-tokens 0", "--max-new-tokens"},
      {"--temperature nan", "--temperature"},
      {"--temperature -0.5", "--temperature"},
      {"--device tpu", "auto, cpu, cuda"},
      {"--dtype int8", "float32, bfloat16 or float16"},
      {"--threads 0", "--threads"},
      {"--threads 1025", "an integer from 1 to 1024"},
      {"--quantize int3", "--quantize"},
      {"--conditions transfer,magic", "\"magic\""},
      {"--suite /no/such/suite.json", "/no/such/suite.json"},
      {"--model /no/such/model", "/no/such/model"},
      {"--model no-such-model", "expected a path, or one of lab-llama"},
      {"--prompt-form poem", "expected raw, chat or chat:NAME, got \"poem\""},
      {"--prompt-form chat:latin", "\"latin\""},
      {"--prompt-form chat", "chat_template"},
      {"--system 'Be brief.'", "raw prompts"},
      {"--no-such-flag", "--no-such-flag"},
      {"--max-new-tokens 300", "max_position_embeddings = 256"},
  };
  for (const auto& [arguments, part] : refused) {
    setup.refuses(arguments, part);
  }
}

TEST_CASE("wrong files are refused in one line", "[experiment][phase2a]") {
  const phase2a_setup setup;
  const auto suite = [&](const char* text) {
    return fmt::format("--suite '{}'", setup.folder.put("suite.json", text).string());
  };
  setup.refuses(suite("{"), "suite.json");
  setup.refuses(suite(R"({"name": "s", "tests": [{"name": "t", "source": "", "target": "x", "markers": ["y"]}]})"),
                "tests[0].source: expected a prompt with some text, got an empty one");
  setup.refuses(suite(R"({"name": "s", "tests": [{"name": "t", "source": "a", "target": "x", "markers": 5}]})"),
                "tests[0].markers");
  setup.refuses(fmt::format("--output '{}'", setup.folder.put("taken", "").string()), "taken");
  setup.refuses("--output /proc/no/such", "/proc/no");
  const auto link = setup.folder.path() / "link";
  std::filesystem::create_symlink(setup.folder.path() / "nowhere", link);
  setup.refuses(fmt::format("--output '{}'", link.string()),
                "link: output: expected a folder that can be made, got a link to " +
                    (setup.folder.path() / "nowhere").string() + ", which is not there");
}

TEST_CASE("a damaged model is refused in one line", "[experiment][phase2a]") {
  const phase2a_setup setup;
  const auto weights = setup.model / "model.safetensors";
  const std::string bytes = read_text(weights);
  std::ofstream(weights, std::ios::binary) << bytes.substr(0, bytes.size() / 2);
  setup.refuses("", "model.safetensors");
  std::ofstream(weights, std::ios::binary) << "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F{}";
  setup.refuses("", "model.safetensors");
  std::ofstream(weights, std::ios::binary) << bytes;
  nlohmann::json config = read_json_object(setup.model / "config.json");
  config["architectures"] = {"MambaForCausalLM"};
  std::ofstream(setup.model / "config.json") << config;
  setup.refuses("", "architectures");
  config["architectures"] = {"LlamaForCausalLM"};
  config.erase("hidden_size");
  std::ofstream(setup.model / "config.json") << config;
  setup.refuses("", "hidden_size");
}

TEST_CASE("a factor that this model has no second level of is dropped with a word, and the others have their effects",
          "[experiment][phase2a]") {
  const phase2a_setup setup;
  nlohmann::json tokenizer = read_json_object(setup.model / "tokenizer_config.json");
  tokenizer["add_bos_token"] = false;
  std::ofstream(setup.model / "tokenizer_config.json", std::ios::binary) << tokenizer.dump();
  const program_outcome outcome =
      run_phase2a(setup.arguments("--conditions baseline --factors bos,cache:prompt/generated"));
  CAPTURE(outcome.complaint);
  REQUIRE(outcome.exit_code == 0);
  const std::string reason =
      "this model puts no BOS in front of a text, so there is no second one; bos is no factor of this run";
  CHECK_THAT(outcome.complaint, contains("Left out: bos=second, cache=generated: " + reason));
  const nlohmann::json summary = read_json_object(setup.output / "summary.json");
  for (const nlohmann::json& left_out : {summary["left_out"], read_json_object(setup.results)["left_out"]}) {
    REQUIRE(left_out.size() == 2);
    CHECK(left_out[0] == nlohmann::json{{"crossing", "bos=second, cache=prompt"}, {"reason", reason}});
  }
  REQUIRE_FALSE(summary["factors"].empty());
  for (const nlohmann::json& table : summary["factors"]) {
    REQUIRE(table["effects"].size() == 1);
    CHECK(table["effects"][0]["factor"] == "cache");
  }
  CHECK_THAT(read_text(setup.output / "report.html"), contains("bos is no factor of this run"));
  CHECK_THAT(read_text(setup.output / "report.md"), contains("bos is no factor of this run"));
}
