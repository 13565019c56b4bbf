// Runs the Phase 2a experiment: what a KV cache carries from one prompt to another, under conditions that work and
// under harness mistakes that look as if it did not. See `phase2a --help` and README.md.

#include <ATen/Parallel.h>
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
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/chat_format_registry.hpp"
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

/// The crossings of the factors asked for; those that mean nothing are told of.
kvtransfer::factorial_conditions crossed(const phase2a::options& chosen, const kvtransfer::condition_registry& known) {
  if (chosen.factors.empty()) {
    return {};
  }
  return kvtransfer::full_factorial(kvtransfer::parse_factors(chosen.factors, known), known);
}

void run(const phase2a::options& chosen, const kvtransfer::condition_registry& known,
         const kvtransfer::suite_registry& suites) {
  kvtransfer::run_settings settings = chosen.settings;
  settings.factors = chosen.factors;
  settings.sweep = chosen.sweep;
  auto conditions = known.parse(chosen.conditions);
  const kvtransfer::factorial_conditions cells = crossed(chosen, known);
  const auto sweeps = kvtransfer::sweep_registry::standard();
  const auto swept = chosen.sweep.empty() ? std::vector<std::string>{} : sweeps.parse(chosen.sweep);
  const kvtransfer::suite suite = suites.open(settings.suite);
  const at::Device device = kvtransfer::choose_device(settings.device);
  const at::ScalarType dtype =
      settings.dtype.empty() ? kvtransfer::default_dtype(device) : kvtransfer::parse_dtype(settings.dtype);
  settings.dtype = kvtransfer::name_of(dtype);
  if (settings.threads > 0) {
    at::set_num_threads(static_cast<int>(settings.threads));
  }
  settings.threads = at::get_num_threads();

  const fs::path path = phase2a::model_path(settings.model, KVT_EXAMPLES_DIR "/models");
  const auto encoding = kvtransfer::open_prompt_encoding(path, settings, kvtransfer::chat_format_registry::standard());
  const auto model = kvtransfer::causal_lm::open(
      path, device, dtype,
      settings.quantize == "nf4" ? kvtransfer::weight_quantization::nf4 : kvtransfer::weight_quantization::none);
  conditions = kvtransfer::united(conditions, cells.conditions);
  conditions = kvtransfer::united(conditions, sweeps.conditions(swept, model.config, known));
  for (const kvtransfer::left_out_crossing& each : cells.left_out) {
    fmt::print(stderr, "Left out: {}: {}\n", each.crossing, each.reason);
  }
  kvtransfer::results results = kvtransfer::planned_run(
      suite, conditions, settings, kvtransfer::make_program_info(model, model.quantization, chosen.command),
      kvtransfer::make_model_info(model, path));

  (void)kvtransfer::checked_prompts(model, encoding, conditions, results);  // before anything is written

  const fs::path output = settings.output;
  const auto older = kvtransfer::make_output_folder(output, program, settings.resume);
  if (older) {
    fmt::print(stderr, "An earlier run's results are now in {}\n", older->string());
  }
  kvtransfer::journal journal(kvtransfer::records_file(output), results, settings.resume);
  phase2a::progress_bar bar;
  kvtransfer::run_experiment(model, encoding, conditions, results, journal,
                             [&](const kvtransfer::run_progress& progress) {
                               bar.show(progress);
                               if (interrupt_asked != 0) {
                                 bar.clear();
                                 throw interrupted{};  // NOLINT(bugprone-std-exception-baseclass)
                               }
                             });
  bar.clear();
  kvtransfer::write_reports(results, output, program);
  fmt::print("{}\nWritten: {}, report.md, report.html\n", kvtransfer::report_terminal(results),
             kvtransfer::results_file(output, program).string());
}

}  // namespace

int main(int argc, char** argv) {
  phase2a::options chosen;
  chosen.settings.model = KVT_EXAMPLES_DIR "/models/lab-llama";
  chosen.settings.suite = "phase2a";
  CLI::App app("Runs the Phase 2a matrix: what a KV cache carries from one prompt to another.", "phase2a");
  const kvtransfer::condition_registry known = kvtransfer::condition_registry::standard();
  const kvtransfer::suite_registry suites = known_suites();
  phase2a::add_flags(app, chosen, known, suites);
  chosen.command = kvtransfer::command_line({argv, static_cast<std::size_t>(argc)});
  try {
    app.parse(argc, argv);
    phase2a::wait_passively(argv);
    std::signal(SIGINT, [](int) { interrupt_asked = 1; });
    run(chosen, known, suites);
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
