#include "kvtransfer/experiment/run_matrix.hpp"

#include <ATen/Parallel.h>

#include <chrono>
#include <utility>
#include <vector>

#include "experiment/earlier_reports.hpp"
#include "experiment/run/applicable_crossings.hpp"
#include "experiment/run/group_journals.hpp"
#include "experiment/run/ready_conditions.hpp"
#include "experiment/run/run_share.hpp"
#include "kvtransfer/experiment/device_choice.hpp"
#include "kvtransfer/experiment/model_info.hpp"
#include "kvtransfer/experiment/output_folder.hpp"
#include "kvtransfer/experiment/program_info.hpp"
#include "kvtransfer/experiment/prompt_encoding.hpp"
#include "kvtransfer/experiment/report.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/chat_format_registry.hpp"
#include "model/lack_of_memory.hpp"

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

/// @param older where an earlier run's files are now, if there were any
void tell_of(const matrix_events& events, const std::optional<std::filesystem::path>& older) {
  if (older && events.older_folder) {
    events.older_folder(*older);
  }
}

/// What was asked for, opened and checked.
struct ready_matrix {
  prompt_encoding encoding;
  causal_lm model;
  std::vector<any_condition> conditions;
  results run;
  detail::encoded_tests encoded;
};

ready_matrix made_ready(const matrix_registries& known, const matrix_arguments& arguments, at::Device device) {
  std::vector<any_condition> conditions = known.conditions.parse(arguments.conditions);
  factorial_conditions cells = crossed(arguments.settings.factors, known.conditions);
  const std::string& sweep = arguments.settings.sweep;
  const std::vector<std::string> swept = sweep.empty() ? std::vector<std::string>{} : known.sweeps.parse(sweep);
  const suite tests = known.suites.open(arguments.settings.suite);
  const run_settings settings = settled(arguments.settings, device);

  const std::filesystem::path path = arguments.model.empty() ? std::filesystem::path(settings.model) : arguments.model;
  prompt_encoding encoding = open_prompt_encoding(path, settings, chat_format_registry::standard());
  causal_lm model = causal_lm::open(path, device, parse_dtype(settings.dtype),
                                    settings.quantize == "nf4" ? weight_quantization::nf4 : weight_quantization::none);
  const results crossings = planned_run(tests, cells.conditions, settings, {}, {});
  detail::encoded_tests encoded;
  const auto ready = detail::with_prompts(model, encoding, cells.conditions, crossings, encoded);
  cells = detail::applicable_crossings(std::move(cells), ready, crossings);
  conditions = united(conditions, cells.conditions);
  conditions = united(conditions, known.sweeps.conditions(swept, model.config, known.conditions));
  results run =
      planned_run(tests, conditions, settings, make_program_info(model, model.quantization, arguments.command),
                  make_model_info(model, settings.model));
  run.left_out = std::move(cells.left_out);
  static_cast<void>(detail::checked_conditions(model, encoding, conditions, run, encoded));
  return {std::move(encoding), std::move(model), std::move(conditions), std::move(run), std::move(encoded)};
}

results run_of_process(const matrix_registries& known, const matrix_arguments& arguments, const matrix_events& events,
                       process_group& group, at::Device device) {
  const auto start = std::chrono::steady_clock::now();
  ready_matrix ready = made_ready(known, arguments, device);
  results& run = ready.run;
  const std::filesystem::path output = run.settings.output;
  const bool resume = run.settings.resume || group.restarts() > 0;
  if (events.begins) {
    events.begins();
  }
  if (group.rank() == 0) {
    for (const left_out_crossing& each : run.left_out) {
      if (events.left_out) {
        events.left_out(each);
      }
    }
    tell_of(events, make_output_folder(arguments.settings.output, arguments.program, resume));
  }
  detail::group_journals finished(output, run, resume, group, events.waits);
  detail::run_share(ready.model, ready.encoding, ready.conditions, run, ready.encoded, &finished.own(), events.progress,
                    group);
  run.program.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (group.rank() == 0) {
    finished.gather(run);
    tell_of(events, detail::set_reports_aside(run, output, arguments.program));
    write_reports(run, output, arguments.program);
  } else {
    detail::fill_in(run, finished.own());
  }
  return std::move(ready.run);
}

}  // namespace

results run_matrix(const matrix_registries& known, const matrix_arguments& arguments, const matrix_events& events,
                   process_group& group) {
  const at::Device device = choose_device(arguments.settings.device, group.local_rank(), group.local_size());
  return detail::naming_lack_of_memory("run", device,
                                       [&] { return run_of_process(known, arguments, events, group, device); });
}

results run_matrix(const matrix_registries& known, const matrix_arguments& arguments, const matrix_events& events) {
  process_group alone;
  return run_matrix(known, arguments, events, alone);
}

}  // namespace kvtransfer
