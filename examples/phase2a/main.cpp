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

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/condition_registry.hpp"
#include "kvtransfer/experiment/device_choice.hpp"
#include "kvtransfer/experiment/journal.hpp"
#include "kvtransfer/experiment/model_info.hpp"
#include "kvtransfer/experiment/program_info.hpp"
#include "kvtransfer/experiment/records_json.hpp"
#include "kvtransfer/experiment/report/files.hpp"
#include "kvtransfer/experiment/report/terminal.hpp"
#include "kvtransfer/experiment/run.hpp"
#include "kvtransfer/experiment/suite.hpp"
#include "options.hpp"
#include "progress_bar.hpp"

namespace {

namespace fs = std::filesystem;

constexpr int bad_input = 2;
constexpr int interrupted_by_user = 130;  // what shells report for SIGINT

volatile std::sig_atomic_t interrupt_asked = 0;

/// Ends a run between two trials.
struct interrupted {};

/// One line: what a library says may have several.
int complain(std::string_view what, int code) {
  fmt::print(stderr, "phase2a: {}\n", what.substr(0, what.find('\n')));
  return code;
}

void run(const phase2a::options& chosen) {
  kvtransfer::run_settings settings = chosen.settings;
  const auto conditions = kvtransfer::condition_registry::standard().parse(chosen.conditions);
  const kvtransfer::suite suite = kvtransfer::read_suite(settings.suite);
  const at::Device device = kvtransfer::choose_device(settings.device);
  const at::ScalarType dtype =
      settings.dtype.empty() ? kvtransfer::default_dtype(device) : kvtransfer::parse_dtype(settings.dtype);
  settings.dtype = kvtransfer::name_of(dtype);

  const fs::path folder = settings.model;
  const auto model = kvtransfer::causal_lm::open(folder, device, dtype);
  const auto text = kvtransfer::tokenizer::open(folder);
  kvtransfer::results results =
      kvtransfer::planned_run(suite, conditions, settings, kvtransfer::make_program_info(model, settings.quantize),
                              kvtransfer::make_model_info(model, folder));

  kvtransfer::checked_prompts(model, text, conditions, results);  // before an older run's files are touched

  const fs::path output = settings.output;
  kvtransfer::make_folder(output);
  kvtransfer::journal journal(output / "phase2a_journal.jsonl", kvtransfer::run_identity(results), settings.resume);
  phase2a::progress_bar bar;
  kvtransfer::run_experiment(model, text, conditions, results, journal, [&](const kvtransfer::run_progress& progress) {
    bar.show(progress);
    if (interrupt_asked != 0) {
      bar.clear();
      throw interrupted{};
    }
  });
  bar.clear();
  kvtransfer::write_reports(results, output, "phase2a");
  fmt::print("{}\nWritten: {}, report.md, report.html\n", kvtransfer::report_terminal(results),
             (output / "phase2a_transfer_results.json").string());
}

}  // namespace

int main(int argc, char** argv) {
  phase2a::options chosen;
  chosen.settings.model = KVT_EXAMPLES_DIR "/models/lab-llama";
  chosen.settings.suite = KVT_EXAMPLES_DIR "/phase2a/suites/phase2a.json";
  CLI::App app("Runs the Phase 2a matrix: what a KV cache carries from one prompt to another.", "phase2a");
  phase2a::add_flags(app, chosen);
  try {
    app.parse(argc, argv);
    std::signal(SIGINT, [](int) { interrupt_asked = 1; });
    run(chosen);
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
