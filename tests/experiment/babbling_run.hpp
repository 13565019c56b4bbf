#pragma once

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "experiment/json_alike.hpp"
#include "experiment/phase2a_program.hpp"
#include "support/test.hpp"

namespace kvtransfer::test {

/// The trials of a folder's records by their keys, without what says by which command each was made, and when,
/// and the checksum of all that.
inline nlohmann::json trials_of(const std::filesystem::path& folder) {
  nlohmann::json trials = nlohmann::json::object();
  std::istringstream stream(read_text(folder / "records.jsonl"));
  for (std::string line; std::getline(stream, line);) {
    nlohmann::json trial = nlohmann::json::parse(line);
    for (const char* when : {"command", "date", "checksum"}) {
      trial.erase(when);
    }
    const std::string key =
        fmt::format("{} {} {}", trial["test"].dump(), trial["condition"].dump(), trial["seed"].dump());
    CHECK(!trials.contains(key));
    trials[key] = std::move(trial);
  }
  return trials;
}

/// Runs of a small model that draws its words: of the same trials, to be ended in different ways.
struct babbling_run {
  temporary_folder folder;
  std::filesystem::path model = folder.path() / "model";
  std::string arguments;

  /// @param trials of each test and condition
  explicit babbling_run(int trials = 3) {
    write_babbling_model(model);
    arguments = fmt::format("--model '{}' --device cpu --max-new-tokens 24 --trials {} --temperature 0.9 --threads 1",
                            model.string(), trials);
  }

  /// The arguments of a run with that output folder. @param more arguments
  std::string with_output(const std::string& output, const std::string& more = "") const {
    return fmt::format("{} --output '{}' {}", arguments, (folder.path() / output).string(), more);
  }

  program_outcome run(const std::string& output, const std::string& more = "", const std::string& in_front = "") const {
    return run_phase2a(with_output(output, more), in_front);
  }

  nlohmann::json trials(const std::string& output) const { return trials_of(folder.path() / output); }

  /// Checks that two runs have the same trials, results and cells.
  void check_alike(const std::string& a, const std::string& b) const {
    const auto document = [&](const std::string& output, const char* file) {
      return read_json_object(folder.path() / output / file);
    };
    CHECK(alike(trials(a), trials(b)));
    CHECK(alike(document(a, "phase2a_transfer_results.json")["tests"],
                document(b, "phase2a_transfer_results.json")["tests"]));
    for (const char* rows : {"cells", "comparisons"}) {
      CHECK(alike(document(a, "summary.json")[rows], document(b, "summary.json")[rows]));
    }
  }
};

}  // namespace kvtransfer::test
