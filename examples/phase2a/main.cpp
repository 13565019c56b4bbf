// Runs the Phase 2a experiment: what a KV cache carries from one prompt to another, under conditions that work and
// under harness mistakes that look as if it did not. See `phase2a --help` and README.md.

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment.hpp"
#include "model_path.hpp"
#include "options.hpp"
#include "passive_waiting.hpp"
#include "progress_bar.hpp"

namespace {

namespace fs = std::filesystem;

constexpr const char* program = "phase2a";  // in front of the names of its files
constexpr int bad_input = 2;
constexpr int interrupted_by_user = 130;  // what shells report for SIGINT

volatile std::sig_atomic_t interrupt_asked = 0;

/// Ends a run between two trials; no std::exception, so that nobody takes it for an error.
struct interrupted {};

/// One line: what a library says may have several.
int complain(std::string_view what, int code) {
  fmt::print(stderr, "phase2a: {}\n", what.substr(0, what.find('\n')));
  return code;
}

/// The library's suites, and in front of them the report's five tests, whose file shows what a suite looks like.
kvtransfer::suite_registry known_suites() {
  kvtransfer::suite_registry known;
  known.add("phase2a", [] { return kvtransfer::read_suite(KVT_EXAMPLES_DIR "/phase2a/suites/phase2a.json"); });
  for (const auto& each : kvtransfer::suite_registry::standard()) {
    known.add(each.name, each.make);
  }
  return known;
}

void run(const phase2a::options& chosen, const kvtransfer::matrix_registries& known) {
  kvtransfer::matrix_arguments arguments{chosen.settings, chosen.conditions, {}, program, chosen.command};
  arguments.model = phase2a::model_path(chosen.settings.model, KVT_EXAMPLES_DIR "/models");
  phase2a::progress_bar bar;
  kvtransfer::matrix_events events;
  events.progress = [&](const kvtransfer::run_progress& progress) {
    bar.show(progress);
    if (interrupt_asked != 0) {
      bar.clear();
      throw interrupted{};  // NOLINT(bugprone-std-exception-baseclass)
    }
  };
  events.left_out = [](const kvtransfer::left_out_crossing& each) {
    fmt::print(stderr, "Left out: {}: {}\n", each.crossing, each.reason);
  };
  events.older_folder = [](const fs::path& older) {
    fmt::print(stderr, "An earlier run's results are now in {}\n", older.string());
  };
  const kvtransfer::results results = kvtransfer::run_matrix(known, arguments, events);
  bar.clear();
  fmt::print("{}\nWritten: {}, records.jsonl, cells.csv, summary.json, report.md, report.html\n", kvtransfer::report_terminal(results),
             kvtransfer::results_file(chosen.settings.output, program).string());
}

}  // namespace

int main(int argc, char** argv) {
  phase2a::options chosen;
  chosen.settings.model = "lab-llama";
  chosen.settings.suite = "phase2a";
  CLI::App app("Runs the Phase 2a matrix: what a KV cache carries from one prompt to another.", "phase2a");
  const kvtransfer::matrix_registries known{.suites = known_suites()};
  phase2a::add_flags(app, chosen, known.conditions, known.suites);
  std::vector<const char*> arguments(argv, argv + argc);
  arguments.front() = program;  // wherever it lies
  chosen.command = kvtransfer::command_line(arguments);
  try {
    app.parse(argc, argv);
    phase2a::wait_passively(argv);
    std::signal(SIGINT, [](int) { interrupt_asked = 1; });
    run(chosen, known);
    return 0;
  } catch (const CLI::ParseError& complaint) {
    return complaint.get_exit_code() == 0 ? app.exit(complaint) : complain(complaint.what(), bad_input);
  } catch (const kvtransfer::error& complaint) {
    return complain(complaint.what(), bad_input);
  } catch (const interrupted&) {
    return complain("interrupted; --resume goes on from here", interrupted_by_user);
  } catch (const c10::Error& complaint) {
    return complain(complaint.what_without_backtrace(), 1);
  } catch (const std::exception& complaint) {
    return complain(complaint.what(), 1);
  }
}
