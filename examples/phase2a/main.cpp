// Runs the Phase 2a experiment: what a KV cache carries from one prompt to another, under conditions that work and
// under harness mistakes that look as if it did not. See `phase2a --help` and README.md.

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
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
#include "progress_line.hpp"
#include "stop_signals.hpp"

namespace {

namespace fs = std::filesystem;

constexpr const char* program = "phase2a";  // in front of the names of its files

// What the exit status says. A signal's is 128 more than its number, as shells report it.
constexpr int failed = 1;
constexpr int bad_input = 2;
constexpr int full_disk = 3;
constexpr int out_of_memory = 4;

constexpr const char* goes_on = "what was finished is kept, --resume goes on from here";

/// One line: what a library says may have several. Of several processes each says which it is.
int complain(std::string_view what, int code) {
  const char* rank = std::getenv("RANK");
  const std::string who = rank == nullptr ? std::string() : fmt::format("rank {}: ", rank);
  fmt::print(stderr, "phase2a: {}{}\n", who, what.substr(0, what.find('\n')));
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

void run(const phase2a::options& chosen, const kvtransfer::matrix_registries& known, kvtransfer::process_group& group) {
  kvtransfer::matrix_arguments arguments{chosen.settings, chosen.conditions, {}, program, chosen.command};
  arguments.model = phase2a::model_path(chosen.settings.model, KVT_EXAMPLES_DIR "/models");
  phase2a::progress_display display;
  kvtransfer::matrix_events events;
  events.begins = phase2a::stop_signals::note;
  events.waits = phase2a::stop_signals::throw_if_noted;
  events.progress = [&](const kvtransfer::run_progress& progress) {
    if (group.rank() == 0) {
      display.show(progress);
    }
    phase2a::stop_signals::throw_if_noted();
  };
  events.left_out = [](const kvtransfer::left_out_crossing& each) {
    fmt::print(stderr, "Left out: {}: {}\n", each.crossing, each.reason);
  };
  events.older_folder = [](const fs::path& older) {
    fmt::print(stderr, "An earlier run's results are now in {}\n", older.string());
  };
  const kvtransfer::results results = kvtransfer::run_matrix(known, arguments, events, group);
  display.clear();
  if (group.rank() == 0) {
    fmt::print("{}\nWritten: {}, records.jsonl, cells.csv, summary.json, report.md, report.html\n",
               kvtransfer::report_terminal(results),
               kvtransfer::results_file(chosen.settings.output, program).string());
  }
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
    std::signal(SIGXFSZ, SIG_IGN);  // a limit on a file's size is an error of the call that writes
    phase2a::stop_signals::end_at_once();
    kvtransfer::process_group group = kvtransfer::process_group::from_environment();
    run(chosen, known, group);
    return 0;
  } catch (const CLI::ParseError& complaint) {
    return complaint.get_exit_code() == 0 ? app.exit(complaint) : complain(complaint.what(), bad_input);
  } catch (const phase2a::stopped& asked) {
    return complain(fmt::format("interrupted; {}", goes_on), 128 + asked.signal);
  } catch (const kvtransfer::full_disk_error& complaint) {
    return complain(fmt::format("{}; {}", complaint.what(), goes_on), full_disk);
  } catch (const kvtransfer::out_of_memory_error& complaint) {
    return complain(fmt::format("{}; {}", complaint.what(), goes_on), out_of_memory);
  } catch (const kvtransfer::process_group_error& complaint) {
    return complain(fmt::format("{}; {}", complaint.what(), goes_on), failed);
  } catch (const kvtransfer::error& complaint) {
    return complain(complaint.what(), bad_input);
  } catch (const c10::OutOfMemoryError& complaint) {
    return complain(complaint.what_without_backtrace(), out_of_memory);
  } catch (const c10::Error& complaint) {
    return complain(complaint.what_without_backtrace(), failed);
  } catch (const std::exception& complaint) {
    return complain(complaint.what(), failed);
  }
}
