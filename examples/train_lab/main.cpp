// train_lab: makes the laboratory model. Trains a tokenizer and a small Llama on the project's own corpus and writes
// both as a Hugging Face folder with a model card.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/core/mapped_file.hpp"
#include "kvtransfer/experiment/device_choice.hpp"
#include "kvtransfer/experiment/suite.hpp"
#include "kvtransfer/model/config_json.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "kvtransfer/model/weights.hpp"
#include "model_card.hpp"
#include "recall.hpp"
#include "settings.hpp"
#include "subwords.hpp"
#include "training.hpp"

namespace {

using namespace kvtransfer;
using namespace kvtransfer::train_lab;

/// Every choice that the command line offers.
struct choices {
  model_shape shape;
  recipe plan;
  run_settings run;
  std::string device = "auto";
  std::filesystem::path suite_file;
};

void offer(CLI::App& app, choices& chosen) {
  auto& [shape, plan, run, device, suite_file] = chosen;
  app.option_defaults()->always_capture_default();
  app.add_option("--output", run.output, "folder to write the model to")->required();
  app.add_option("--device", device, "auto, cpu, cuda or cuda:N");
  app.add_option("--steps", plan.steps)->check(CLI::PositiveNumber);
  app.add_option("--warm-up", plan.warm_up, "steps until the learning rate peaks")->check(CLI::PositiveNumber);
  app.add_option("--batch-tokens", plan.batch_tokens, "tokens a step")->check(CLI::PositiveNumber);
  app.add_option("--sequence-length", plan.sequence_length, "tokens a row")->check(CLI::PositiveNumber);
  app.add_option("--rows-at-once", plan.rows_at_once, "rows in one forward pass")->check(CLI::PositiveNumber);
  app.add_option("--learning-rate", plan.peak_learning_rate)->check(CLI::PositiveNumber);
  app.add_option("--weight-decay", plan.weight_decay)->check(CLI::NonNegativeNumber);
  app.add_option("--clip", plan.clip, "largest norm of the gradients")->check(CLI::PositiveNumber);
  app.add_option("--seed", plan.seed);
  app.add_option("--layers", shape.layers)->check(CLI::PositiveNumber);
  app.add_option("--hidden-size", shape.hidden_size)->check(CLI::PositiveNumber);
  app.add_option("--intermediate-size", shape.intermediate_size)->check(CLI::PositiveNumber);
  app.add_option("--q-heads", shape.q_heads)->check(CLI::PositiveNumber);
  app.add_option("--kv-heads", shape.kv_heads)->check(CLI::PositiveNumber);
  app.add_option("--head-dim", shape.head_dim)->check(CLI::PositiveNumber);
  app.add_option("--vocab-size", shape.vocab_size)->check(CLI::PositiveNumber);
  app.add_option("--rope-theta", shape.rope_theta)->check(CLI::PositiveNumber);
  app.add_option("--tokenizer", run.tokenizer, "folder with a tokenizer.model to use (default: train one)");
  app.add_option("--tokenizer-documents", run.tokenizer_documents, "texts the tokenizer is trained on")
      ->check(CLI::PositiveNumber);
  app.add_flag("--resume", run.resume, "go on from the checkpoint in the output folder");
  app.add_option("--report-every", run.report_every, "steps between lines of progress")->check(CLI::PositiveNumber);
  app.add_option("--measure-every", run.measure_every, "steps between checkpoints")->check(CLI::PositiveNumber);
  app.add_option("--cases", run.cases, "held-out cases of the last measure")->check(CLI::PositiveNumber);
  app.add_option("--data-threads", run.data_threads, "threads that make batches; 0: all processors but two");
  app.add_option("--suite", suite_file, "suite whose prompts the trained model answers at the end");
}

/// The content of the tokenizer's file: another model's, or that of a run to be resumed, or a new one.
std::string find_subwords(const choices& chosen) {
  const auto& [shape, plan, run, device, suite_file] = chosen;
  const std::filesystem::path given = run.resume ? run.output : run.tokenizer;
  if (!given.empty()) {
    const auto file = mapped_file::open(given / "tokenizer.model");
    return {reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size()};
  }
  say("training a tokenizer of {} pieces on {} texts", shape.vocab_size, run.tokenizer_documents);
  return train_subwords(shape.vocab_size, run.tokenizer_documents, plan.seed);
}

/// Writes what surrounds the weights: tokenizer and generation settings. The configuration is written with the weights.
void write_surroundings(const choices& chosen) {
  const auto& output = chosen.run.output;
  std::error_code refused;
  std::filesystem::create_directories(output, refused);
  require<file_error>(!refused, output.string(), "folder", "one that can be made", refused.message());
  write_text(output / "tokenizer.model", find_subwords(chosen));
  const nlohmann::json generation{{"bos_token_id", bos_id}, {"eos_token_id", eos_id}};
  write_text(output / "generation_config.json", generation.dump(2) + "\n");
}

/// New weights out of old ones, one by one; what was tied stays tied.
template <class Change>
model_weights changed(const model_config& config, const model_weights& weights, Change change) {
  std::map<std::string, at::Tensor> by_name;
  for_each_parameter(weights, [&](const std::string& name, const at::Tensor& tensor) { by_name[name] = tensor; });
  return make_weights(config, [&](const std::string& name, const auto&) { return change(by_name.at(name)); });
}

/// The stored numbers at full width: fp16 values in fp32.
model_weights as_stored(const model_config& config, const model_weights& trained) {
  return changed(config, trained,
                 [](const at::Tensor& tensor) { return tensor.detach().to(at::kHalf).to(at::kFloat); });
}

std::int64_t count_parameters(const model_weights& weights) {
  std::int64_t count = 0;
  for_each_parameter(weights, [&](const std::string&, const at::Tensor& parameter) { count += parameter.numel(); });
  return count;
}

std::vector<suite_answer> answer_suite(const choices& chosen, const model_config& config, const model_weights& weights,
                                       const any_tokenizer& subwords, at::Device device) {
  std::vector<suite_answer> answers;
  if (chosen.suite_file.empty()) {
    return answers;
  }
  for (const test_case& test : read_suite(chosen.suite_file).tests) {
    const auto texts = greedy_answers(config, weights, subwords, {{test.source, test.target}, {test.target}}, device);
    say("{}: alone \"{}\", after its source \"{}\"", test.name, texts[1], texts[0]);
    answers.push_back({test.name, texts[0], texts[1]});
  }
  return answers;
}

void check(const choices& chosen) {
  const auto& [shape, plan, run, device, suite_file] = chosen;
  require<value_error>(plan.batch_tokens % plan.sequence_length == 0, "--batch-tokens", "tokens",
                       fmt::format("a multiple of --sequence-length {}", plan.sequence_length),
                       std::to_string(plan.batch_tokens));
  require<value_error>(plan.warm_up < plan.steps, "--warm-up", "steps", fmt::format("less than --steps {}", plan.steps),
                       std::to_string(plan.warm_up));
}

void run(const choices& chosen) {
  const auto& [shape, plan, settings, device_name, suite_file] = chosen;
  check(chosen);
  const at::Device device = choose_device(device_name);
  write_surroundings(chosen);
  const any_tokenizer subwords = open_tokenizer(settings.output);
  const model_config config = model_config_from_json(hugging_face_config(shape, plan.sequence_length));
  constexpr double initial_deviation = 0.02;
  model_weights weights = changed(config, random_weights(config, plan.seed, initial_deviation),
                                  [&](const at::Tensor& tensor) { return tensor.to(device); });
  const std::int64_t parameters = count_parameters(weights);
  say("{} parameters, {} steps of {} tokens on {}", parameters, plan.steps, plan.batch_tokens, device.str());

  const auto started = std::chrono::steady_clock::now();
  constexpr std::size_t quick_cases = 110;
  train(config, weights, subwords, plan, settings, device, [&](std::int64_t done) {
    const auto scores = measure_recall(config, weights, subwords, quick_cases, plan.seed, device);
    say("step {:5}/{}  {} ({})", done, plan.steps, describe(scores), describe_families(scores));
  });
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();

  const model_weights stored = as_stored(config, weights);
  save_model(settings.output, config, stored, at::kHalf);
  const auto scores =
      measure_recall(config, stored, subwords, static_cast<std::size_t>(settings.cases), plan.seed, device);
  say("stored model: {} ({})", describe(scores), describe_families(scores));
  constexpr std::size_t shown_mistakes = 12;
  for (std::size_t index = 0; index < std::min(shown_mistakes, scores.mistakes.size()); ++index) {
    say("  wrong: {}", scores.mistakes[index]);
  }
  const auto answers = answer_suite(chosen, config, stored, subwords, device);
  write_text(settings.output / "README.md", model_card(shape, plan, settings, device.is_cuda() ? "one GPU" : "the CPU",
                                                       parameters, seconds, scores, answers));
  std::filesystem::remove(settings.output / "checkpoint.safetensors");
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Trains the laboratory model and writes it as a Hugging Face folder."};
  choices chosen;
  offer(app, chosen);
  CLI11_PARSE(app, argc, argv);
  try {
    run(chosen);
    return 0;
  } catch (const kvtransfer::error& problem) {
    fmt::print(stderr, "train_lab: {}\n", problem.what());
    return 2;
  } catch (const std::exception& problem) {
    fmt::print(stderr, "train_lab: {}\n", problem.what());
    return 1;
  }
}
