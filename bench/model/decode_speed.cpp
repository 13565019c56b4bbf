// What a decode step costs: random models of a known shape, many rows or one, against a plain copy of the weights'
// bytes in the same run. A step's time is what more tokens cost more, so that reading the prompt and starting up don't
// count; a benchmark's loop could not subtract them.
//
//   decode_speed [--shape tinyllama|smollm2] [--device cpu|cuda] [--dtype bfloat16] [--nf4] [--rows 1 8 35] [--tokens
//   64]
//                [--prompt 64] [--temperature 0] [--graphs on|off]

#include <ATen/Parallel.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/config_json.hpp"
#include "kvtransfer/model/generate_many.hpp"
#include "kvtransfer/model/weights.hpp"
#include "support/interleaved_timing.hpp"

namespace {

using namespace kvtransfer;

struct arguments {
  std::string shape = "tinyllama";
  std::string device = "cpu";
  std::string dtype = "bfloat16";
  bool nf4 = false;
  std::vector<std::int64_t> rows = {1, 8, 35};
  std::int64_t tokens = 64;
  std::int64_t prompt = 64;
  double temperature = 0;
  std::string graphs = "on";
  int rounds = 5;
};

nlohmann::json config_of(const std::string& shape) {
  const bool tiny = shape == "tinyllama";
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"num_hidden_layers", tiny ? 22 : 30},
          {"hidden_size", tiny ? 2048 : 576},
          {"intermediate_size", tiny ? 5632 : 1536},
          {"vocab_size", tiny ? 32000 : 49152},
          {"num_attention_heads", tiny ? 32 : 9},
          {"num_key_value_heads", tiny ? 4 : 3},
          {"tie_word_embeddings", !tiny},
          {"max_position_embeddings", 262144},
          {"rope_theta", 10000.0},
          {"rms_norm_eps", 1e-5}};
}

at::ScalarType dtype_named(const std::string& name) {
  return name == "float32" ? at::kFloat : name == "float16" ? at::kHalf : at::kBFloat16;
}

causal_lm random_model(const arguments& asked) {
  model_config config = model_config_from_json(config_of(asked.shape));
  const at::TensorOptions options =
      at::TensorOptions().device(at::Device(asked.device)).dtype(dtype_named(asked.dtype));
  model_weights weights =
      make_weights(config, [&](const std::string& name, const std::vector<std::int64_t>& shape) -> weight_matrix {
        if (shape.size() == 1) {
          return at::ones(shape, options);
        }
        const at::Tensor values = at::randn(shape, options).mul_(0.02);
        return asked.nf4 && is_layer_matrix(name) ? weight_matrix(quantize_nf4(values, true)) : weight_matrix(values);
      });
  return causal_lm::of(std::move(config), std::move(weights));
}

/// What one row's step reads of the weights: all but the embedding, of which it looks up a row, unless it is the head.
std::int64_t bytes_read(const causal_lm& model) {
  std::int64_t bytes = 0;
  for_each_parameter(model.weights, [&](const std::string& name, const at::Tensor& tensor) {
    const bool looked_up = name == "model.embed_tokens.weight" && !model.config.tie_word_embeddings;
    bytes += looked_up ? 0 : static_cast<std::int64_t>(tensor.nbytes());
  });
  return bytes;
}

std::vector<generation_request> requests_of(const causal_lm& model, const arguments& asked, std::int64_t rows,
                                            std::int64_t tokens) {
  std::vector<generation_request> requests;
  for (std::int64_t row = 0; row < rows; ++row) {
    std::vector<std::int64_t> prompt;
    for (std::int64_t i = 0; i < asked.prompt; ++i) {
      prompt.push_back((row * 131 + i * i * 17 + i * 13) % model.config.vocab_size);
    }
    generation_config settings{.max_new_tokens = tokens, .temperature = asked.temperature};
    settings.seeds = {static_cast<std::uint64_t>(row)};
    requests.push_back({plan_of({std::move(prompt)}), std::move(settings)});
  }
  return requests;
}

void time_rows(const causal_lm& model, const arguments& asked, std::int64_t rows) {
  const at::Device device = model.device();
  const batching how{.most_sequences = rows, .replays_steps = asked.graphs == "on"};
  const auto generating = [&](std::int64_t tokens) {
    return [&model, how, requests = requests_of(model, asked, rows, tokens)] {
      (void)generate_many(model, requests, how);
    };
  };
  const std::int64_t few = 16;
  const std::int64_t bytes = bytes_read(model);
  const at::Tensor from = at::zeros({bytes / 2}, at::TensorOptions().dtype(at::kByte).device(device));
  const at::Tensor to = from.clone();
  // A copy of half the bytes reads and writes as many as the step reads.
  bench::interleaved_timing timing(device, {generating(few + asked.tokens), generating(few), [&] { to.copy_(from); }});
  for (int round = 0; round < asked.rounds; ++round) {
    timing.round();
  }
  const double step = (timing.median_seconds(0) - timing.median_seconds(1)) / static_cast<double>(asked.tokens);
  const double copied = timing.median_seconds(2);
  fmt::print(
      "{:>5} rows: {:8.3f} ms a step, {:8.0f} tokens/s, {:5.2f} times the copy of the weights' bytes ({:.3f} ms)\n",
      rows, 1e3 * step, static_cast<double>(rows) / step, step / copied, 1e3 * copied);
}

}  // namespace

int main(int argc, char** argv) {
  arguments asked;
  CLI::App app("What a decode step costs on random weights");
  app.add_option("--shape", asked.shape)->check(CLI::IsMember({"tinyllama", "smollm2"}));
  app.add_option("--device", asked.device);
  app.add_option("--dtype", asked.dtype)->check(CLI::IsMember({"float32", "bfloat16", "float16"}));
  app.add_flag("--nf4", asked.nf4);
  app.add_option("--rows", asked.rows);
  app.add_option("--tokens", asked.tokens, "more tokens, whose cost is told")->check(CLI::PositiveNumber);
  app.add_option("--prompt", asked.prompt)->check(CLI::PositiveNumber);
  app.add_option("--temperature", asked.temperature);
  app.add_option("--graphs", asked.graphs, "CUDA graphs")->check(CLI::IsMember({"on", "off"}));
  app.add_option("--rounds", asked.rounds)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  const causal_lm model = random_model(asked);
  fmt::print("{} in {}{} on {}, {} threads, prompt of {}, graphs {}, temperature {}\n", asked.shape, asked.dtype,
             asked.nf4 ? " and nf4" : "", model.device().str(), at::get_num_threads(), asked.prompt, asked.graphs,
             asked.temperature);
  for (const std::int64_t rows : asked.rows) {
    time_rows(model, asked, rows);
  }
  return 0;
}
