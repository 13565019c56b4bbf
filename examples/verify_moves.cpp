// One verdict on a model: do moved keys equal what it would have written there?
//
//   verify_moves MODEL [--dtype bfloat16] [--lengths 16 256] [--json FILE]
//
// Exit status 0: the moves hold; 1: they do not; 2: refused, with the reason on one line.

#include "kvtransfer/model/verify_moves.hpp"

#include <ATen/Parallel.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>

#include "kvtransfer/core/atomic_file.hpp"
#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/device_choice.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/tokenizers/open_tokenizer.hpp"
#include "phase2a/model_path.hpp"
#include "phase2a/passive_waiting.hpp"

namespace {

struct options {
  std::string model = "lab-llama";
  std::string config;
  std::string device = "auto";
  std::string dtype = "bfloat16";
  std::string json;
  std::int64_t threads = 0;
  kvtransfer::verify_moves_settings settings;
};

void add_flags(CLI::App& app, options& chosen) {
  app.add_option("model", chosen.model,
                 "Model folder in Hugging Face format, GGUF file, or name of a model in examples/models")
      ->capture_default_str();
  app.add_option("--json", chosen.json, "Where to write the verdict, - for stdout");
  app.add_option("--dtype", chosen.dtype, "float32, bfloat16 or float16")->capture_default_str();
  app.add_option("--device", chosen.device, "auto, cpu, cuda or cuda:INDEX")->capture_default_str();
  app.add_option("--threads", chosen.threads, "Threads of the CPU; by default what torch chooses");
  app.add_option("--lengths", chosen.settings.lengths, "Tokens of the texts whose keys are moved")
      ->capture_default_str();
  app.add_option("--delta", chosen.settings.delta, "Tokens to move by")->capture_default_str();
  app.add_option("--tokens", chosen.settings.tokens, "Tokens to say behind moved keys")->capture_default_str();
  app.add_option("--rotary-of", chosen.config,
                 "config.json, or its folder, by whose rotary parameters keys are moved; by default the model's own");
}

/// The text said, where the model has a tokenizer that can be read.
void add_texts(kvtransfer::moves_verdict& verdict, const std::filesystem::path& model) {
  try {
    const kvtransfer::any_tokenizer tokens = kvtransfer::open_tokenizer(model);
    for (kvtransfer::greedy_check& said : verdict.greedy) {
      said.text = tokens.decode(said.token_ids);
    }
  } catch (const kvtransfer::error&) {
    return;  // the verdict is on keys: ids tell as much
  }
}

kvtransfer::moves_verdict verdict_on(options& chosen) {
  const at::Device device = kvtransfer::choose_device(chosen.device);
  const at::ScalarType dtype = kvtransfer::parse_dtype(chosen.dtype);
  if (chosen.threads > 0) {
    at::set_num_threads(static_cast<int>(chosen.threads));
  }
  const std::filesystem::path path = phase2a::model_path(chosen.model, KVT_EXAMPLES_DIR "/models");
  const kvtransfer::causal_lm model = kvtransfer::causal_lm::open(path, device, dtype);
  if (!chosen.config.empty()) {
    chosen.settings.specifications = kvtransfer::rotary_specifications(kvtransfer::read_model_config(chosen.config));
  }
  kvtransfer::moves_verdict verdict = kvtransfer::verify_moves(model, chosen.settings, chosen.model);
  add_texts(verdict, path);
  return verdict;
}

int report(const kvtransfer::moves_verdict& verdict, const std::string& json) {
  if (json == "-") {
    fmt::print("{}\n", kvtransfer::to_json(verdict));
  } else if (!json.empty()) {
    kvtransfer::write_text(json, kvtransfer::to_json(verdict) + "\n");
  }
  if (verdict.verdict == kvtransfer::move_verdict::refused) {
    fmt::print(stderr, "verify_moves: {}: refused: {}\n", verdict.model, verdict.reason.value_or(""));
  } else if (json != "-") {
    fmt::print("{}", kvtransfer::describe(verdict));
  }
  return static_cast<int>(verdict.verdict);
}

}  // namespace

int main(int argc, char** argv) {
  options chosen;
  CLI::App app("Says whether moved keys of a model are those that it would have written there.", "verify_moves");
  add_flags(app, chosen);
  const auto refused = [&](const std::string& reason) {
    return kvtransfer::moves_verdict{
        .reason = reason.substr(0, reason.find('\n')), .model = chosen.model, .dtype = chosen.dtype};
  };
  kvtransfer::moves_verdict verdict;
  try {
    app.parse(argc, argv);
    phase2a::wait_passively(argv);
    verdict = verdict_on(chosen);
  } catch (const CLI::ParseError& complaint) {
    if (complaint.get_exit_code() == 0) {
      return app.exit(complaint);
    }
    verdict = refused(complaint.what());
  } catch (const c10::Error& complaint) {
    verdict = refused(complaint.what_without_backtrace());
  } catch (const std::exception& complaint) {
    verdict = refused(complaint.what());
  }
  try {
    return report(verdict, chosen.json);
  } catch (const std::exception& complaint) {  // of the file that was to be written
    fmt::print(stderr, "verify_moves: {}\n", complaint.what());
    return static_cast<int>(kvtransfer::move_verdict::refused);
  }
}
