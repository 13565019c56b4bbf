// What a model takes of memory: one of TinyLlama 1.1B's exact shape, while it is loaded and while it runs, or with
// --matrix a model that is there, through a whole run of phase2a's tests.
//
//     load_memory [--device cpu|cuda] [--folder DIR] [--layers N] [--narrower N]
//     load_memory --matrix DIR|FILE.gguf [--device cpu|cuda] [--folder DIR] [--dtype bfloat16] [--quantize none|nf4]
//                 [--prompt-form raw|chat] [--conditions LIST] [--trials N] [--temperature T]
//
// The first writes a folder (bf16, a shard a layer) and a GGUF file (fp16) with random weights, 4.4 GB in all, into
// --folder, and removes them in the end. Then each way of loading is a process of its own, that loads, reads 64 tokens
// and says 8 more. On a CPU both count anonymous memory above what the process had when torch was up, which they say;
// on CUDA, what the allocator handed out.

#include <ATen/ops/ones.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "kvtransfer/core/error.hpp"
#include "kvtransfer/experiment/device_choice.hpp"
#include "kvtransfer/experiment/run_matrix.hpp"
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/causal_lm.hpp"
#include "kvtransfer/model/generate.hpp"
#include "kvtransfer/model/weights.hpp"
#include "model/peak_memory.hpp"
#include "model/random_model_files.hpp"

using namespace kvtransfer;

namespace {

/// A way of loading: what the table calls it, and what is loaded how.
struct way_of_loading {
  std::string name;
  std::string file;
  at::ScalarType dtype;
  weight_quantization quantize = weight_quantization::none;
};

std::vector<way_of_loading> all_ways() {
  return {{"folder, bf16", "folder", at::kBFloat16},
          {"folder, bf16, --quantize nf4", "folder", at::kBFloat16, weight_quantization::nf4},
          {"GGUF, fp16", "model.gguf", at::kHalf},
          {"GGUF, fp16, --quantize nf4", "model.gguf", at::kHalf, weight_quantization::nf4}};
}

/// Has torch load and make what every program that multiplies has of it.
void warm_up(at::Device device, at::ScalarType dtype) {
  const at::Tensor ones = at::ones({64, 64}, at::TensorOptions(device).dtype(dtype));
  (void)ones.mm(ones);
}

/// Loads and runs, in this process, and prints the line of the table.
void measure(const way_of_loading& way, const std::filesystem::path& files, at::Device device) {
  constexpr double gigabyte = 1e9;
  warm_up(device, way.dtype);
  bench::peak_memory peak(device);
  const causal_lm model = causal_lm::open(files / way.file, device, way.dtype, way.quantize);
  const double loading = static_cast<double>(peak.take()) / gigabyte;
  std::vector<std::int64_t> text;
  for (std::int64_t i = 0; i < 64; ++i) {
    text.push_back(i % model.config.vocab_size);
  }
  (void)generate(model, plan_of({text}), {.max_new_tokens = 8});
  const double running = static_cast<double>(peak.take()) / gigabyte;
  fmt::print("{:<30} {:>10.2f} {:>10.2f}\n", way.name, loading, running);
}

/// Runs the matrix in this process and prints what that took, beside the weights' bytes.
void measure_matrix(matrix_arguments arguments, at::Device device) {
  constexpr double megabyte = 1e6;
  const at::ScalarType dtype = parse_dtype(arguments.settings.dtype);
  warm_up(device, dtype);
  const double before = static_cast<double>(bench::anonymous_bytes()) / megabyte;
  bench::peak_memory peak(device);
  arguments.settings.device = device.str();
  const results run = run_matrix({}, arguments);
  const double most = static_cast<double>(peak.take()) / megabyte;
  const bool quantized = arguments.settings.quantize == "nf4";
  const causal_lm model = causal_lm::open(arguments.settings.model, device, dtype,
                                          quantized ? weight_quantization::nf4 : weight_quantization::none);
  double weights = 0;
  for_each_parameter(model.weights, [&](const std::string&, const at::Tensor& tensor) {
    weights += static_cast<double>(tensor.nbytes()) / megabyte;
  });
  fmt::print("{} in {}{}, {} trials on {}: {:.0f} MB (1e6 bytes) at most, {:.2f} times the weights' {:.0f} MB; {}\n",
             arguments.settings.model, arguments.settings.dtype, quantized ? " and nf4" : "", run.cost.trials,
             device.str(), most, most / weights, weights,
             device.is_cpu() ? fmt::format("torch alone had {:.0f} MB before", before) : "of the allocator's");
}

/// Starts this program again, for one way. @throws error unless it ends well
void measure_apart(const std::vector<std::string>& arguments) {
  std::vector<char*> raw;
  for (const std::string& argument : arguments) {
    raw.push_back(
        const_cast<char*>(argument.c_str()));  // NOLINT(cppcoreguidelines-pro-type-const-cast): posix_spawn's type
  }
  raw.push_back(nullptr);
  pid_t child = 0;
  int status = 0;
  const bool started = ::posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, raw.data(), environ) == 0;
  require<value_error>(started && ::waitpid(child, &status, 0) == child && status == 0, "load_memory", "process",
                       "one that ends well", formatted("status {}", status));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What a model of TinyLlama 1.1B's shape takes of memory.");
  bench::llama_shape shape;
  std::string device = "cpu";
  std::filesystem::path files = std::filesystem::temp_directory_path() / fmt::format("load_memory-{}", ::getpid());
  int narrower = 1;
  int way = -1;
  matrix_arguments matrix;
  matrix.settings.dtype = "bfloat16";
  matrix.settings.suite = KVT_PHASE2A_SUITE;
  app.add_option("--device", device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--folder", files, "where the files go, one that is not there yet");
  app.add_option("--layers", shape.layers, "instead of 22")->check(CLI::Range(1, 200));
  app.add_option("--narrower", narrower, "divides hidden and intermediate size and vocabulary")
      ->check(CLI::IsMember({1, 2, 4, 8, 16}));
  app.add_option("--matrix", matrix.settings.model, "a model whose run of the matrix is measured instead");
  app.add_option("--dtype", matrix.settings.dtype)->check(CLI::IsMember({"float32", "bfloat16", "float16"}));
  app.add_option("--quantize", matrix.settings.quantize)->check(CLI::IsMember({"none", "nf4"}));
  app.add_option("--prompt-form", matrix.settings.prompt_form, "raw or chat");
  app.add_option("--conditions", matrix.conditions, "as phase2a takes them");
  app.add_option("--trials", matrix.settings.trials)->check(CLI::PositiveNumber);
  app.add_option("--temperature", matrix.settings.temperature);
  app.add_option("--way", way, "measures one way, whose files are there")->group("");
  CLI11_PARSE(app, argc, argv);
  try {
    if (way >= 0) {
      measure(all_ways().at(static_cast<std::size_t>(way)), files, at::Device(device == "cuda" ? "cuda:0" : device));
      return 0;
    }
    require<value_error>(!std::filesystem::exists(files), "load_memory", "--folder", "one that is not there yet",
                         files.string());
    if (!matrix.settings.model.empty()) {
      matrix.settings.output = files.string();
      measure_matrix(matrix, at::Device(device == "cuda" ? "cuda:0" : device));
      std::filesystem::remove_all(files);
      return 0;
    }
    shape.hidden /= narrower;
    shape.intermediate /= narrower;
    shape.vocabulary /= narrower;
    bench::write_folder(files / "folder", shape, at::kBFloat16);
    bench::write_gguf(files / "model.gguf", shape);
    fmt::print("{} layers, hidden size {}, on {}; peak memory, GB (1e9 bytes)\n{:<30} {:>10} {:>10}\n", shape.layers,
               shape.hidden, device, "", "loading", "running");
    std::fflush(stdout);
    int status = 0;
    try {
      for (std::size_t i = 0; i < all_ways().size(); ++i) {
        measure_apart({argv[0], "--way", fmt::format("{}", i), "--device", device, "--folder", files.string()});
      }
    } catch (const error& bad) {
      fmt::print(stderr, "{}\n", bad.what());
      status = 1;
    }
    std::filesystem::remove_all(files);
    return status;
  } catch (const std::exception& bad) {
    fmt::print(stderr, "{}\n", bad.what());
    return 2;
  }
}
