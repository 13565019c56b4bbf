// A run that is asked to stop, or has no room left, says so in one line, keeps what is finished and can go on.

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "experiment/babbling_run.hpp"
#include "kvtransfer/core/json_file.hpp"
#include "support/message.hpp"
#include "support/test.hpp"

using namespace kvtransfer;
using namespace kvtransfer::test;

namespace {

namespace fs = std::filesystem;

bool is_one_line(const std::string& text) {
  return std::count(text.begin(), text.end(), '\n') == 1 && text.ends_with('\n');
}

/// What a program says at its end, behind lines of progress.
std::string last_line(const std::string& text) {
  const std::string whole = text.substr(0, text.find_last_not_of('\n') + 1);
  return whole.substr(whole.rfind('\n') + 1);  // from 0 where there is none
}

/// Does something to the process of a run as soon as its first trial is finished.
program_outcome interrupted(const babbling_run& setup, const std::string& output,
                            const std::function<void(::pid_t)>& interrupt) {
  const fs::path complaint = setup.folder.path() / "complaint";
  const std::string command = fmt::format("exec '{}/phase2a' {} >/dev/null 2>'{}'", KVT_PROGRAMS_DIR,
                                          setup.with_output(output), complaint.string());
  const ::pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGINT, SIG_DFL);
    std::signal(SIGTERM, SIG_DFL);
    ::execl("/bin/sh", "sh", "-c", command.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
  const fs::path records = setup.folder.path() / output / "records.jsonl";
  int status = 0;
  std::error_code none;
  while (::waitpid(child, &status, WNOHANG) == 0 && (!fs::exists(records, none) || fs::file_size(records, none) == 0)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  interrupt(child);
  ::waitpid(child, &status, 0);
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, "", read_text(complaint)};
}

/// Whether a run's records are whole lines, some of all.
bool has_some_whole_lines(const fs::path& records, std::size_t all) {
  const std::string text = read_text(records);
  const auto lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  return lines > 0 && lines < all && text.ends_with('\n');
}

}  // namespace

TEST_CASE("a run that is interrupted or terminated ends between steps, and goes on", "[experiment][phase2a]") {
  const babbling_run setup(12);
  REQUIRE(setup.run("whole").exit_code == 0);
  for (const auto& [signal, status] : {std::pair(SIGINT, 130), std::pair(SIGTERM, 143)}) {
    const std::string output = fmt::format("stopped by {}", signal);
    const program_outcome stopped = interrupted(setup, output, [&](::pid_t run) { ::kill(run, signal); });
    CAPTURE(signal, stopped.complaint);
    CHECK(stopped.exit_code == status);
    CHECK(last_line(stopped.complaint) ==
          "phase2a: interrupted; what was finished is kept, --resume goes on from here");
    CHECK(has_some_whole_lines(setup.folder.path() / output / "records.jsonl", setup.trials("whole").size()));
    CHECK_FALSE(fs::exists(setup.folder.path() / output / "summary.json"));
    REQUIRE(setup.run(output, "--resume").exit_code == 0);
    setup.check_alike(output, "whole");
  }
}

TEST_CASE("a full disk ends a run with its own status and one line, and it goes on when there is room",
          "[experiment][phase2a]") {
  const babbling_run setup;
  REQUIRE(setup.run("whole").exit_code == 0);
  const auto size = fs::file_size(setup.folder.path() / "whole/records.jsonl");
  for (const std::uintmax_t blocks : {size / 3 / 512, size * 2 / 3 / 512}) {
    const program_outcome full = setup.run("full", "--resume", fmt::format("ulimit -f {}; exec", blocks));
    CAPTURE(blocks, full.complaint);
    CHECK(full.exit_code == 3);
    CHECK(last_line(full.complaint) ==
          fmt::format("phase2a: {}: journal: expected room for the data, got File too large; what was finished is "
                      "kept, --resume goes on from here",
                      (setup.folder.path() / "full/records.jsonl").string()));
    CHECK(has_some_whole_lines(setup.folder.path() / "full/records.jsonl", setup.trials("whole").size()));
  }
  REQUIRE(setup.run("full", "--resume").exit_code == 0);
  setup.check_alike("full", "whole");
}

TEST_CASE("a disk that has no room for the report keeps all trials", "[experiment][phase2a]") {
  const babbling_run setup(1);
  REQUIRE(setup.run("whole").exit_code == 0);
  const auto size_of = [&](const char* file) { return fs::file_size(setup.folder.path() / "whole" / file); };
  const auto between = (size_of("records.jsonl") + size_of("phase2a_transfer_results.json")) / 2 / 512;
  if (size_of("records.jsonl") + 2048 > size_of("phase2a_transfer_results.json")) {
    FAIL("the results are meant to be the largest file");
  }
  const program_outcome full = setup.run("full", "", fmt::format("ulimit -f {}; exec", between));
  CAPTURE(full.complaint);
  CHECK(full.exit_code == 3);
  CHECK_THAT(full.complaint, contains("write: expected room for the data, got File too large"));
  CHECK(setup.trials("full").size() == setup.trials("whole").size());
  REQUIRE(setup.run("full", "--resume").exit_code == 0);
  setup.check_alike("full", "whole");
}

TEST_CASE("a run that memory fails midway ends with its own status and one line, and goes on when there is more",
          "[experiment][phase2a]") {
  const babbling_run setup(12);
  REQUIRE(setup.run("whole").exit_code == 0);
  const program_outcome outcome = interrupted(setup, "short of memory", [](::pid_t run) {
    const struct ::rlimit no_more{1, RLIM_INFINITY};  // what it has it keeps
    ::prlimit(run, RLIMIT_AS, &no_more, nullptr);
  });
  CAPTURE(outcome.complaint);
  CHECK(outcome.exit_code == 4);
  const std::string complaint = last_line(outcome.complaint);
  CHECK(complaint.starts_with("phase2a: "));
  CHECK_THAT(complaint, contains(": memory: expected "));
  CHECK(complaint.ends_with(" free; what was finished is kept, --resume goes on from here"));
  CHECK(has_some_whole_lines(setup.folder.path() / "short of memory/records.jsonl", setup.trials("whole").size()));
  CHECK_FALSE(fs::exists(setup.folder.path() / "short of memory/summary.json"));
  REQUIRE(setup.run("short of memory", "--resume").exit_code == 0);
  setup.check_alike("short of memory", "whole");
}

TEST_CASE("weights that memory does not hold are refused before they are loaded, with what is needed and free",
          "[experiment][phase2a]") {
  const babbling_run setup(1);
  // Half a tebibyte of bfloat16, none of which is on the disk: as float32 it has to be copied.
  const std::string header =
      R"({"model.embed_tokens.weight":{"dtype":"BF16","shape":[1048576,262144],"data_offsets":[0,549755813888]}})";
  const fs::path weights = setup.model / "model.safetensors";
  {
    std::ofstream file(weights, std::ios::binary | std::ios::trunc);
    const std::uint64_t length = header.size();
    file.write(reinterpret_cast<const char*>(&length), sizeof(length));
    file << header;
  }
  fs::resize_file(weights, 8 + header.size() + 549755813888U);
  const program_outcome outcome = setup.run("large", "--dtype float32");
  CAPTURE(outcome.complaint);
  CHECK(outcome.exit_code == 4);
  CHECK(is_one_line(outcome.complaint));
  CHECK(outcome.complaint.starts_with(
      "phase2a: load_weights: memory: expected 1099511627776 bytes for the weights on cpu, got "));
  CHECK_THAT(outcome.complaint, contains(" bytes free; "));
  CHECK_FALSE(fs::exists(setup.folder.path() / "large"));
}
