// A run that is killed and resumed, time and again, ends as one that was left alone.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>

#include "experiment/babbling_run.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

/// Trials that a folder's records hold, whole ones.
std::size_t kept(const babbling_run& setup, const std::string& output) {
  const std::filesystem::path records = setup.folder.path() / output / "records.jsonl";
  if (!std::filesystem::exists(records)) {
    return 0;
  }
  const std::string text = read_text(records);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

/// Kills runs at moments drawn from all that one takes, and resumes each until it ends by itself; goes on until so
/// many kills came between the first of a run's trials and the last.
void check_kills(int wanted) {
  const babbling_run setup;
  const auto begin = std::chrono::steady_clock::now();
  REQUIRE(setup.run("whole").exit_code == 0);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const std::size_t all = kept(setup, "whole");
  std::mt19937_64 draws(static_cast<std::uint64_t>(wanted));
  int killed = 0;
  int runs = 0;
  std::string output = "cut0";
  const auto end_run = [&] {
    const program_outcome last = setup.run(output, "--resume");
    CAPTURE(last.complaint);
    REQUIRE(last.exit_code == 0);
    setup.check_alike(output, "whole");
    output = fmt::format("cut{}", ++runs);
  };
  for (int attempt = 0; attempt < 20 * wanted && killed < wanted; ++attempt) {
    const double after = seconds * static_cast<double>(draws() % 1000) / 1000;
    const int code = setup.run(output, "--resume", fmt::format("timeout -s KILL {:.3f}", after + 0.01)).exit_code;
    const std::size_t trials = kept(setup, output);
    killed += code == 137 && trials > 0 && trials < all ? 1 : 0;
    if (trials == all) {
      end_run();
    }
  }
  CHECK(killed == wanted);
  end_run();
}

}  // namespace

TEST_CASE("a run killed three times among its trials and resumed has the trials and cells of one that was not",
          "[experiment][phase2a]") {
  check_kills(3);
}

TEST_CASE("a run killed at 50 random moments among its trials and resumed has the trials and cells of one that was not",
          "[experiment][phase2a][long]") {
  check_kills(50);
}

TEST_CASE("a resumed run may have more trials, conditions and tests", "[experiment][phase2a]") {
  const babbling_run setup;
  const std::string suite = fmt::format("--suite '{}/examples/phase2a/suites/phase2a.json", KVT_SOURCE_DIR);
  REQUIRE(setup.run("grown", suite + ":2' --trials 1 --conditions baseline,transfer").exit_code == 0);
  const auto first = setup.trials("grown");
  CHECK(first.size() == 4);
  const program_outcome outcome =
      setup.run("grown", suite + "' --trials 2 --conditions baseline,text_oracle,transfer --resume");
  CAPTURE(outcome.complaint);
  REQUIRE(outcome.exit_code == 0);
  const auto all = setup.trials("grown");
  CHECK(all.size() == 30);
  for (const auto& [key, trial] : first.items()) {
    CHECK((all.at(key)["token_ids"] == trial["token_ids"]));
  }
}
