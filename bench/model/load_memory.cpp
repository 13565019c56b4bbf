// What a model of TinyLlama 1.1B's exact shape takes of memory, while it is loaded and while it runs.
//
//     load_memory [--device cpu|cuda] [--folder DIR] [--layers N] [--narrower N]
//
// It writes a folder (bf16, a shard a layer) and a GGUF file (fp16) with random weights, 4.4 GB in all, into --folder,
// and removes them in the end. Then each way of loading is a process of its own, that loads, reads 64 tokens and says 8
// more. On a CPU it counts anonymous memory above what the process had when torch was up; on CUDA, what the allocator
// handed out.

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
#include "kvtransfer/inject/prepend.hpp"
#include "kvtransfer/model/generate.hpp"
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

/// Loads and runs, in this process, and prints the line of the table.
void measure(const way_of_loading& way, const std::filesystem::path& files, at::Device device) {
  constexpr double gigabyte = 1e9;
  (void)at::ones({64, 64}, at::TensorOptions(device).dtype(way.dtype))
      .mm(at::ones({64, 64}, at::TensorOptions(device).dtype(way.dtype)));
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
  app.add_option("--device", device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--folder", files, "where the files go, one that is not there yet");
  app.add_option("--layers", shape.layers, "instead of 22")->check(CLI::Range(1, 200));
  app.add_option("--narrower", narrower, "divides hidden and intermediate size and vocabulary")
      ->check(CLI::IsMember({1, 2, 4, 8, 16}));
  app.add_option("--way", way, "measures one way, whose files are there")->group("");
  CLI11_PARSE(app, argc, argv);
  try {
    if (way >= 0) {
      measure(all_ways().at(static_cast<std::size_t>(way)), files, at::Device(device == "cuda" ? "cuda:0" : device));
      return 0;
    }
    shape.hidden /= narrower;
    shape.intermediate /= narrower;
    shape.vocabulary /= narrower;
    require<value_error>(!std::filesystem::exists(files), "load_memory", "--folder", "one that is not there yet",
                         files.string());
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
