#pragma once

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>

#include "kvtransfer/experiment/condition_registry.hpp"
#include "kvtransfer/experiment/factorial_conditions.hpp"
#include "kvtransfer/experiment/records.hpp"
#include "kvtransfer/experiment/suite_registry.hpp"
#include "kvtransfer/experiment/sweeps.hpp"

namespace phase2a {

/// What the command line asks for; `conditions` is still the list as it was written.
struct options {
  kvtransfer::run_settings settings;
  std::string conditions = "matrix";
  std::string command;  ///< the whole command line, for the record
};

/// A check that the whole of an argument is a finite number, `least` or more, `most` or less.
template <class Number>
auto at_least(Number least, std::string_view expected, Number most = std::numeric_limits<Number>::max()) {
  return [=](const std::string& text) {
    Number value{};
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = problem == std::errc{} && end == text.data() + text.size();
    const bool good = whole && value >= least && value <= most && std::isfinite(static_cast<double>(value));
    return good ? std::string() : fmt::format("expected {}, got {}", expected, text);
  };
}

inline std::string known_quantization(const std::string& text) {
  return text == "none" || text == "nf4" ? "" : fmt::format("expected none or nf4, got {}", text);
}

/// A line for each condition: what it is called and what its outcome tells; then what may stand behind a plus sign.
inline std::string conditions_help(const kvtransfer::condition_registry& known) {
  std::string help = "Conditions (matrix: the first seven; controls: those behind them; all: both):";
  for (const kvtransfer::any_condition& condition : known.parse("all")) {
    const kvtransfer::condition_description description = condition.describe();
    help += fmt::format("\n  {:<28}{}", description.id, description.tells);
  }
  help += fmt::format("\n  {:<28}{}", "projected:FOLDER[@MODEL]",
                      "what a projector makes of the source's cache, or of MODEL's cache of the source");
  help += fmt::format("\n  {:<28}{}", "projected_…:FOLDER[@MODEL]",
                      "its controls: projected_other_source, projected_zero, projected_noise");
  help += fmt::format("\n  {:<28}{}", "from_files:DIR", "anybody's caches, one file a test: DIR/TEST.safetensors");
  help += fmt::format("\nBehind a condition, policies change what it injects, as in transfer+layers:2-4+keys: {}",
                      fmt::join(known.policies().examples(), ", "));
  return help + fmt::format("\nFactors: {}", fmt::join(kvtransfer::known_factors(), "; "));
}

/// Adds the flags to `app`; parsing fills `chosen`. Of a flag given twice the last one counts.
/// @param known the conditions that `--help` lists
/// @param suites likewise those known by name
inline void add_flags(CLI::App& app, options& chosen, const kvtransfer::condition_registry& known,
                      const kvtransfer::suite_registry& suites) {
  kvtransfer::run_settings& settings = chosen.settings;
  const auto positive = at_least<std::int64_t>(1, "an integer, 1 or more");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--model", settings.model,
                 "Model folder in Hugging Face format, GGUF file, or name of a model in examples/models")
      ->capture_default_str();
  app.add_option("--device", settings.device, "auto, cpu, cuda or cuda:INDEX")->capture_default_str();
  app.add_option("--dtype", settings.dtype, "float32, bfloat16 or float16; by default what suits the device");
  app.add_option("--quantize", settings.quantize,
                 "none, or nf4: 4 bits for the matrices of the layers, as bitsandbytes has them")
      ->check(known_quantization)
      ->capture_default_str();
  app.add_option("--threads", settings.threads, "Threads of the CPU; by default what torch chooses")
      ->check(at_least<std::int64_t>(1, "an integer from 1 to 1024", 1024));
  app.add_option("--prompt-form", settings.prompt_form,
                 "raw, chat (the format of the model's own template) or chat:NAME")
      ->capture_default_str();
  app.add_option("--system", settings.system, "System text of chat prompts; by default there is none");
  app.add_option(
         "--suite", settings.suite,
         fmt::format("Suite of tests: {}, or a JSON file; NAME:N takes its first N tests, NAME:VARIANT those of "
                     "a variant",
                     fmt::join(suites.names(), ", ")))
      ->capture_default_str();
  app.add_option("--conditions", chosen.conditions, "Comma-separated list of conditions, matrix, controls or all")
      ->capture_default_str();
  app.add_option("--factors", settings.factors,
                 "Factors to cross around transfer, beside the conditions: bos,cache:prompt/generated");
  app.add_option("--sweep", settings.sweep,
                 fmt::format("Walks through the cache part by part, beside the conditions; some of {}",
                             fmt::join(kvtransfer::sweep_registry::standard().names(), ", ")));
  app.add_option("--trials", settings.trials, "Trials of each test and condition; trial i draws with seed S + i")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--temperature", settings.temperature, "Sampling temperature; 0 is greedy")
      ->check(at_least<double>(0, "a number, 0 or more"))
      ->capture_default_str();
  app.add_option("--seed", settings.seed, "Seed of the first trial")
      ->check(at_least<std::uint64_t>(0, "an integer, 0 or more"))
      ->capture_default_str();
  app.add_option("--max-new-tokens", settings.max_new_tokens, "Longest continuation in tokens")
      ->check(positive)
      ->capture_default_str();
  app.add_option("--margin", settings.margin,
                 "Success rates closer than this are called equivalent; fixed before the run")
      ->check(at_least<double>(1e-6, "a number above 0, below 1", 0.999999))
      ->capture_default_str();
  app.add_option("--output", settings.output, "Folder for results and reports")->capture_default_str();
  app.footer(conditions_help(known));
  app.add_flag("--resume", settings.resume, "Go on with an interrupted run of the same settings");
}

}  // namespace phase2a
