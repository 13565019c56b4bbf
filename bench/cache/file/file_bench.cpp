// Writes a synthetic cache as a stream and reads it back by layer: speed, anonymous memory taken (RssAnon), and which
// pages reading one layer brings in from the disk (mincore). KVT_BENCH_GIB=10 makes the file larger than a gibibyte.

#include <ATen/ops/randn.h>
#include <ATen/ops/sum.h>
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "../../../tests/cache/file/resident_memory.hpp"
#include "kvtransfer/cache/file/cache_file.hpp"
#include "kvtransfer/cache/file/cache_file_writer.hpp"

namespace kvtransfer::bench {
namespace {

constexpr std::int64_t file_layers = 32;
constexpr cached_layer file_layer{.kv_heads = 8, .head_dim = 128, .dtype = at::kBFloat16};
constexpr double mebibyte = 1 << 20;

/// 128 KiB a token over all layers.
std::int64_t file_tokens() {
  const char* given = std::getenv("KVT_BENCH_GIB");
  return std::max(1, given == nullptr ? 1 : std::atoi(given)) * std::int64_t{8192};
}

/// The file that all of these are about; it goes when the program ends.
const std::filesystem::path& bench_file() {
  struct removed_at_exit {
    std::filesystem::path path =
        std::filesystem::temp_directory_path() / ("kvtransfer-bench-" + std::to_string(::getpid()));
    ~removed_at_exit() { std::filesystem::remove(path); }
  };
  static const removed_at_exit file;
  return file.path;
}

/// The most anonymous memory that this process had while a benchmark ran.
class memory_watch {
 public:
  void look() { most_ = std::max(most_, test::anonymous_bytes()); }
  void report(benchmark::State& state) const { state.counters["RssAnon_MiB"] = static_cast<double>(most_) / mebibyte; }

 private:
  std::uint64_t most_ = 0;
};

void write_file(benchmark::State& state, file_checksums checksums) {
  constexpr std::int64_t step = 1024;
  const at::Tensor piece = at::randn({1, file_layer.kv_heads, step, file_layer.head_dim}).to(file_layer.dtype);
  memory_watch memory;
  for (auto _ : state) {
    const cache_frame frame(file_layers, {position_map::consecutive(0, file_tokens()), {rotary_specification{}}});
    cache_file_writer writer(bench_file(), frame, std::vector<cached_layer>(file_layers, file_layer), checksums);
    for (std::int64_t begin = 0; begin < file_tokens(); begin += step) {
      for (std::int64_t layer = 0; layer < file_layers; ++layer) {
        writer.write(layer, begin, piece, piece);
      }
      memory.look();
    }
    writer.finish();
  }
  memory.report(state);
  state.SetBytesProcessed(static_cast<std::int64_t>(std::filesystem::file_size(bench_file())) * state.iterations());
}

void read_by_layer(benchmark::State& state) {
  memory_watch memory;
  for (auto _ : state) {
    state.PauseTiming();
    test::forget_pages(bench_file());
    state.ResumeTiming();
    const cache_file file = cache_file::open(bench_file());
    for (std::int64_t i = 0; i < file.layers(); ++i) {
      const layer_view<> layer = file.layer(i);
      benchmark::DoNotOptimize(at::sum(layer.keys()).item<float>() + at::sum(layer.values()).item<float>());
      memory.look();
    }
  }
  memory.report(state);
  state.SetBytesProcessed(static_cast<std::int64_t>(std::filesystem::file_size(bench_file())) * state.iterations());
}

/// @param tokens of one layer; all of them where 0
void read_part(benchmark::State& state, std::int64_t tokens) {
  const std::int64_t begin = tokens == 0 ? 0 : file_tokens() / 3;
  const std::int64_t end = tokens == 0 ? file_tokens() : begin + tokens;
  for (auto _ : state) {
    state.PauseTiming();
    test::forget_pages(bench_file());
    const cache_file file = cache_file::open(bench_file());
    const auto resident = [] {  // behind layer 0, some of which is read ahead with the header
      const std::vector<bool> pages = test::resident_pages(bench_file());
      return static_cast<double>(std::count(pages.begin() + pages.size() / file_layers, pages.end(), true));
    };
    state.ResumeTiming();
    const layer_view<> layer = file.layer(file_layers / 2, begin, end);
    benchmark::DoNotOptimize(at::sum(layer.keys()).item<float>() + at::sum(layer.values()).item<float>());
    state.PauseTiming();
    state.counters["pages_read"] = resident();
    state.counters["pages_of_part"] = static_cast<double>(layer.keys().nbytes() + layer.values().nbytes()) / 4096;
    state.counters["pages_of_file"] = static_cast<double>(test::resident_pages(bench_file()).size());
    state.SetBytesProcessed(static_cast<std::int64_t>(layer.keys().nbytes() + layer.values().nbytes()));
    state.ResumeTiming();
  }
}

BENCHMARK_CAPTURE(write_file, without_checksums, file_checksums::none)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(write_file, with_checksums, file_checksums::crc32)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(read_by_layer)->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(read_part, one_layer, 0)->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(read_part, 100_tokens_of_a_layer, 100)->Iterations(1)->UseRealTime()->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace kvtransfer::bench
