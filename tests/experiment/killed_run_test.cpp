// A run that is killed and resumed, time and again, ends as one that was left alone.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <random>
#include <sstream>
#include <string>
#include <tuple>

#include "experiment/json_alike.hpp"
#include "experiment/phase2a_program.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// The trials of a folder's records by their keys, without what says by which command each was made, and when.
nlohmann::json trials_of(const std::filesystem::path& folder) {
  nlohmann::json trials = nlohmann::json::object();
  std::istringstream stream(read_text(folder / "records.jsonl"));
  for (std::string line; std::getline(stream, line);) {
    nlohmann::json trial = nlohmann::json::parse(line);
    for (const char* when : {"command", "date"}) {
      trial.erase(when);
    }
    const std::string key =
        fmt::format("{} {} {}", trial["test"].dump(), trial["condition"].dump(), trial["seed"].dump());
    CHECK(!trials.contains(key));
    trials[key] = std::move(trial);
  }
  return trials;
}

struct killed_run {
  temporary_folder folder;
  std::string arguments;

  killed_run() {
    std::filesystem::create_directory(folder.path() / "model");
    write_babbling_model(folder.path() / "model");
    arguments = fmt::format("--model '{}' --device cpu --max-new-tokens 24 --trials 3 --temperature 0.9 --threads 1",
                            (folder.path() / "model").string());
  }

  program_outcome run(const std::string& output, const std::string& more, const std::string& in_front = "") const {
    return run_phase2a(fmt::format("{} --output '{}' {}", arguments, (folder.path() / output).string(), more),
                       in_front);
  }

  /// Trials that a folder's records hold, whole ones.
  [[nodiscard]] std::size_t kept(const std::string& output) const {
    const std::filesystem::path records = folder.path() / output / "records.jsonl";
    if (!std::filesystem::exists(records)) {
      return 0;
    }
    const std::string text = read_text(records);
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  void check_equal(const std::string& output) const {
    CHECK(alike(trials_of(folder.path() / output), trials_of(folder.path() / "whole")));
    const auto results = [&](const std::string& from) {
      return read_json_object(folder.path() / from / "phase2a_transfer_results.json")["tests"];
    };
    CHECK(alike(results(output), results("whole")));
    const auto cells = [&](const std::string& from) { return read_json_object(folder.path() / from / "summary.json"); };
    CHECK(alike(cells(output)["cells"], cells("whole")["cells"]));
    CHECK(alike(cells(output)["comparisons"], cells("whole")["comparisons"]));
  }

  /// Kills runs at moments drawn from all that one takes, and resumes each until it ends by itself; goes on until so
  /// many kills came between the first of a run's trials and the last.
  void check_kills(int wanted) const {
    const auto begin = std::chrono::steady_clock::now();
    REQUIRE(run("whole", "").exit_code == 0);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    const std::size_t all = kept("whole");
    std::mt19937_64 draws(static_cast<std::uint64_t>(wanted));
    int killed = 0;
    int runs = 0;
    std::string output = "cut0";
    const auto end_run = [&] {
      const program_outcome last = run(output, "--resume");
      CAPTURE(last.complaint);
      REQUIRE(last.exit_code == 0);
      check_equal(output);
      output = fmt::format("cut{}", ++runs);
    };
    for (int attempt = 0; attempt < 20 * wanted && killed < wanted; ++attempt) {
      const double after = seconds * static_cast<double>(draws() % 1000) / 1000;
      const int code = run(output, "--resume", fmt::format("timeout -s KILL {:.3f}", after + 0.01)).exit_code;
      const std::size_t trials = kept(output);
      killed += code == 137 && trials > 0 && trials < all ? 1 : 0;
      if (trials == all) {
        end_run();
      }
    }
    CHECK(killed == wanted);
    end_run();
  }
};

}  // namespace

TEST_CASE("a run killed three times among its trials and resumed has the trials and cells of one that was not",
          "[experiment][phase2a]") {
  killed_run().check_kills(3);
}

TEST_CASE("a run killed at 50 random moments among its trials and resumed has the trials and cells of one that was not",
          "[experiment][phase2a][long]") {
  killed_run().check_kills(50);
}

TEST_CASE("a resumed run may have more trials, conditions and tests", "[experiment][phase2a]") {
  const killed_run setup;
  const std::string suite = fmt::format("--suite '{}/examples/phase2a/suites/phase2a.json", KVT_SOURCE_DIR);
  REQUIRE(setup.run("grown", suite + ":2' --trials 1 --conditions baseline,transfer").exit_code == 0);
  const auto first = trials_of(setup.folder.path() / "grown");
  CHECK(first.size() == 4);
  const program_outcome outcome =
      setup.run("grown", suite + "' --trials 2 --conditions baseline,text_oracle,transfer --resume");
  CAPTURE(outcome.complaint);
  REQUIRE(outcome.exit_code == 0);
  const auto all = trials_of(setup.folder.path() / "grown");
  CHECK(all.size() == 30);
  for (const auto& [key, trial] : first.items()) {
    CHECK((all.at(key)["token_ids"] == trial["token_ids"]));
  }
}
