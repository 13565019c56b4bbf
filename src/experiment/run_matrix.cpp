#include "kvtransfer/experiment/run_matrix.hpp"

#include <ATen/Parallel.h>

#include <chrono>
#include <vector>

#include "kvtransfer/experiment/device_choice.hpp"
#include "kvtransfer/experiment/journal.hpp"
#include "kvtransfer/experiment/model_info.hpp"
#include "kvtransfer/experiment/output_folder.hpp"
#include "kvtransfer/experiment/program_info.hpp"
#include "kvtransfer/experiment/prompt_encoding.hpp"
#include "kvtransfer/experiment/report.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/chat_format_registry.hpp"

namespace kvtransfer {

namespace {

/// The crossings of the factors asked for.
factorial_conditions crossed(const std::string& factors, const condition_registry& known) {
  return factors.empty() ? factorial_conditions{} : full_factorial(parse_factors(factors, known), known);
}

/// Settings as they are in effect. The number of threads is set as asked.
run_settings settled(run_settings settings, at::Device device) {
  settings.dtype = name_of(settings.dtype.empty() ? default_dtype(device) : parse_dtype(settings.dtype));
  if (settings.threads > 0) {
    at::set_num_threads(static_cast<int>(settings.threads));
  }
  settings.threads = at::get_num_threads();
  return settings;
}

}  // namespace

results run_matrix(const matrix_registries& known, const matrix_arguments& arguments, const matrix_events& events) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<any_condition> conditions = known.conditions.parse(arguments.conditions);
  const factorial_conditions cells = crossed(arguments.settings.factors, known.conditions);
  const std::string& sweep = arguments.settings.sweep;
  const std::vector<std::string> swept = sweep.empty() ? std::vector<std::string>{} : known.sweeps.parse(sweep);
  const suite tests = known.suites.open(arguments.settings.suite);
  const at::Device device = choose_device(arguments.settings.device);
  const run_settings settings = settled(arguments.settings, device);

  const std::filesystem::path path = arguments.model.empty() ? std::filesystem::path(settings.model) : arguments.model;
  const prompt_encoding encoding = open_prompt_encoding(path, settings, chat_format_registry::standard());
  const causal_lm model =
      causal_lm::open(path, device, parse_dtype(settings.dtype),
                      settings.quantize == "nf4" ? weight_quantization::nf4 : weight_quantization::none);
  conditions = united(conditions, cells.conditions);
  conditions = united(conditions, known.sweeps.conditions(swept, model.config, known.conditions));
  results run =
      planned_run(tests, conditions, settings, make_program_info(model, model.quantization, arguments.command),
                  make_model_info(model, settings.model));
  static_cast<void>(checked_prompts(model, encoding, conditions, run));  // before anything is written
  run.left_out = cells.left_out;
  for (const left_out_crossing& each : run.left_out) {
    if (events.left_out) {
      events.left_out(each);
    }
  }
  const std::filesystem::path output = settings.output;
  const auto older = make_output_folder(output, arguments.program, settings.resume);
  if (older && events.older_folder) {
    events.older_folder(*older);
  }
  journal finished(records_file(output), run, settings.resume);
  run_experiment(model, encoding, conditions, run, finished, events.progress);
  run.program.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  write_reports(run, output, arguments.program);
  return run;
}

}  // namespace kvtransfer
